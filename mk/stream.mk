# stream/script.c takes script.lua in with .incbin, which the compiler's -MMD does not see.
$(B)/obj/stream/script.c.o: stream/script.lua

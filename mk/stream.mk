# stream/script.c and nodes.c take their scripts in with .incbin, which the compiler's -MMD does not see.
$(B)/obj/stream/script.c.o: stream/script.lua
$(B)/obj/stream/nodes.c.o: stream/nodes.lua

# Text files that are compiled in: serve/openapi.json as openapi_json[] and openapi_json_len.
$(B)/gen/openapi.c: serve/openapi.json scripts/embed.py
	@mkdir -p $(@D)
	@/usr/bin/python3 scripts/embed.py $< openapi_json > $@
$(B)/obj/gen/openapi.o: $(B)/gen/openapi.c
	@mkdir -p $(@D)
	@$(CC) $(CFLAGS_ALL) -c $< -o $@
$(B)/joblogd: $(B)/obj/gen/openapi.o $(B)/obj/joblogd_settings.c.o

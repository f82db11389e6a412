# Text files that are compiled in: serve/openapi.json as openapi_json[] and openapi_json_len.
$(B)/gen/openapi.c: serve/openapi.json scripts/embed.py
	@mkdir -p $(@D)
	@/usr/bin/python3 scripts/embed.py $< openapi_json > $@
$(B)/obj/gen/openapi.o: $(B)/gen/openapi.c
	@mkdir -p $(@D)
	@$(CC) $(CFLAGS_ALL) -c $< -o $@
$(B)/joblogd: $(B)/obj/gen/openapi.o $(B)/obj/joblogd_settings.c.o

# The page: clients/web/* as web_assets[] (serve/web_int.h), plain and packed.
WEB_FILES := $(wildcard clients/web/*.html clients/web/*.css clients/web/*.js clients/web/*.svg)
$(B)/gen/web.c: $(WEB_FILES) scripts/embed_web.py
	@mkdir -p $(@D)
	@/usr/bin/python3 scripts/embed_web.py $@ $(@D)/web $(WEB_FILES)
$(B)/obj/gen/web.o: $(B)/gen/web.c serve/web_int.h
	@mkdir -p $(@D)
	@$(CC) $(CFLAGS_ALL) -c $< -o $@
$(B)/joblogd: $(B)/obj/gen/web.o

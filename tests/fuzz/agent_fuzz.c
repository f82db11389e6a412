/*
 * tests/fuzz/agent_fuzz.c -- messages of the agent's road, and samples of nodes, whatever the bytes.
 *
 * The first byte chooses: text or binary message, or the text of a sample, which must come back as it was read.
 * Covers  ingest/agent_message.c job/node.c
 */
#include "base/check.h"
#include "base/err.h"
#include "base/log.h"
#include "ingest/agent_message.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void as_message(const char *data, size_t size, int is_binary)
{
    struct agent_message m;
    struct decode_options o;
    char why[200];

    decode_options_init(&o);
    o.numbered = 1;
    if (agent_message_read(&m, &o, data, size, is_binary, why, sizeof why) < 0) {
        CHECK(strlen(why) < sizeof why);
        return;
    }
    if (m.type == AGENT_SAMPLE) {
        struct buf text = BUF_INIT;
        struct node_sample again;

        CHECK(m.sample->sample.gpu_count <= NODE_GPUS_MAX && m.sample->sample.gpu_count == m.sample->about.gpu_count);
        CHECK(node_sample_write(&text, &m.sample->sample) == 0 && text.len < NODE_SAMPLE_TEXT_BYTES);
        CHECK(node_sample_read(&again, text.data, text.len) == 0);
        buf_clear(&text);
        again = m.sample->sample;
        again.at_us++;
        struct node_sample two[] = {m.sample->sample, again};
        snprintf(m.sample->about.replica, sizeof m.sample->about.replica, "n");
        CHECK(node_write(&text, &m.sample->about, two, 2) == 0);
        buf_release(&text);
    }
    agent_message_release(&m);
}

static void as_sample(const char *data, size_t size)
{
    struct node_sample s, again;
    struct buf text = BUF_INIT;

    if (node_sample_read(&s, data, size) < 0) return;
    CHECK(node_sample_write(&text, &s) == 0);
    CHECK(node_sample_read(&again, text.data, text.len) == 0);
    CHECK(again.at_us == s.at_us && again.cpu_milli == s.cpu_milli && again.gpu_count == s.gpu_count);
    buf_release(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    log_setup(LOG_ERROR, LOG_FORMAT_TEXT);
    if (size < 1) return 0;
    if (data[0] == 's') as_sample((const char *)data + 1, size - 1);
    else as_message((const char *)data + 1, size - 1, data[0] == 'b');
    return 0;
}

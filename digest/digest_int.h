/*
 * digest/digest_int.h -- what the files of the digest share: the parts that only adding needs.
 */
#ifndef DIGEST_DIGEST_INT_H
#define DIGEST_DIGEST_INT_H

#include "base/buf.h"
#include "base/map.h"
#include "digest/block.h"
#include "digest/digest.h"
#include "digest/report.h"

#define DIGEST_GROUP_SLOTS 1024  /* of the hash table over fingerprints: a power of two, over twice the groups */
#define DIGEST_SERIES_SLOTS 2048 /* the same over series */
#define DIGEST_OPEN_SLOTS 1024   /* chains of open blocks */
#define DIGEST_CAUSES_MAX 64     /* causes whose groups are kept for them */
#define DIGEST_POINTS_MIN 16     /* of a new series; then doubled */

/* Who writes line by line: blocks are read within it. */
struct digest_source {
    int32_t rank;
    uint32_t replica;
    uint32_t stream; /* hash of the record's */
    uint32_t tag;    /* of the launcher's prefix, where the rank does not tell */
};

/* A block that may go on. */
struct digest_open {
    struct digest_open *next;
    struct digest_source source;
    struct block block;
    struct digest_at at;
    uint64_t end_seq, hash, whole_bytes;
    uint32_t line_count, frame_count, cause, title_bytes;
    struct buf text;
    struct report report;
    char title[DIGEST_TITLE_BYTES_MAX];
};

/* What is not for readers; all of it can be made again from the digest, or is written into its file. */
struct digest_inner {
    const struct digest_classifier *classifier;
    struct buf plain; /* the text of the line at work */
    struct buf extra; /* a traceback out of its fields */
    int is_settled;

    uint32_t *rank_at;      /* rank -> 1 + its place in ranks; grown to the highest rank seen */
    uint32_t rank_at_count;
    uint32_t *anon_at;      /* the same for lines without a rank, by replica */
    uint32_t anon_at_count;
    uint32_t rank_cap, detail_count;
    struct map *replica_map; /* name -> (index) */
    uint32_t replica_cap;

    uint16_t group_slots[DIGEST_GROUP_SLOTS]; /* 1 + place in groups; 0 free */
    uint8_t group_kept[DIGEST_GROUPS_MAX];    /* never let go */
    size_t text_bytes;                        /* of all groups */
    struct {
        uint32_t cause, count;
    } causes[DIGEST_CAUSES_MAX];
    uint32_t cause_count;

    uint16_t series_slots[DIGEST_SERIES_SLOTS]; /* 1 + place in series; 0 free */

    struct digest_open *open_slots[DIGEST_OPEN_SLOTS];
    struct digest_open *spare;
    uint32_t open_count;
    size_t open_bytes; /* of their texts */

    int64_t bucket_lo_us, bucket_hi_us; /* of the bucket hit last */
    uint32_t bucket_at;
};

/* What is known of the record at work. */
struct digest_record {
    const struct record_view *view;
    struct digest_at at;
    int64_t time_us;   /* where it counts in time */
    int32_t rank;
    uint32_t replica;
    struct digest_line line; /* of a record of several lines the one at work */
    uint32_t cause;          /* of that line */
    struct digest_rank *entry; /* of its rank; NULL beyond the limit */
};

/* digest_ranks.c */
int digest__replica(struct digest *d, const char *name, size_t len, uint32_t *ret_replica);
/* The entry, made when there is none; *ret_rank NULL: no room. */
int digest__rank(struct digest *d, int32_t rank, uint32_t replica, struct digest_rank **ret_rank);
/* Count the line of r, note what comes first and last. */
void digest__rank_note(struct digest *d, struct digest_record *r);
/* Put the entry at its place into the tables by rank and replica. ERR_NOMEM. */
int digest__rank_index(struct digest *d, uint32_t at);
int digest__ranks_sort(struct digest *d);
void digest__ranks_free(struct digest *d);

/* digest_time.c */
int digest__time_note(struct digest *d, const struct digest_record *r);
int64_t digest__time_of(const struct record_view *v, int64_t recv_us);

/* digest_groups.c */
struct digest_found { /* an occurrence */
    uint64_t fingerprint;
    enum digest_kind kind;
    enum level level;
    uint32_t cause;
    int is_block;
    const char *title, *text;
    size_t title_bytes, text_bytes, whole_bytes;
    struct digest_at at;
    uint64_t end_seq;
    int32_t rank;
    uint32_t replica;
};
int digest__group_note(struct digest *d, const struct digest_found *f);
/* Put g, whose members are set, at the end of groups and into the table (decoding). */
void digest__group_index(struct digest *d, uint32_t at);
int digest__groups_sort(struct digest *d);
void digest__groups_free(struct digest *d);


/* digest_blocks.c */
/* The next line of a source. *ret_taken: it belongs to a block (or waits for what follows), nothing else is to be done. */
int digest__blocks_note(struct digest *d, struct digest_record *r, const struct digest_source *s, int *ret_taken);
struct digest_open *digest__open_find(const struct digest *d, const struct digest_source *s);
/* A new one, empty (decoding). NULL: no memory. */
struct digest_open *digest__open_add(struct digest_inner *in, const struct digest_source *s);
/* Its block is over: an occurrence. Frees it. */
int digest__open_end(struct digest *d, struct digest_open *o);
int digest__open_end_all(struct digest *d);
void digest__blocks_free(struct digest_inner *in);

/* digest_series.c */
int digest__metrics_note(struct digest *d, const struct digest_record *r);
void digest__series_index(struct digest *d, uint32_t at);
void digest__series_free(struct digest *d);

/* digest_events.c: what happens now and then */
int digest__state_note(struct digest *d, const struct digest_record *r);
int digest__is_gap(const struct record_view *v);
int digest__gap_note(struct digest *d, const struct digest_record *r);
int digest__gap_add(struct digest *d, const struct digest_gap *g, const char *reason, size_t len);
/* title (may be NULL: the line itself) is copied. r->entry is found again: ranks may have moved. */
int digest__report_note(struct digest *d, struct digest_record *r, const struct digest_report *found, const char *title);
int digest__sections_note(struct digest *d, const struct digest_record *r, const char *text, size_t len);
void digest__events_free(struct digest *d);

/* digest_codec.c: write all of d to w, or read it into a new one. */
struct wire;
void digest__walk(struct wire *w, struct digest *d);

#endif

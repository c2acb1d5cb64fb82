/* Order of numbered tokens: what a stream of messages, one a token, must keep.
 *
 * A stream is the sends of one process under one name in one trace (truespan.stream.sequence numbers them); a receive
 * belongs to the stream of the send that is its parent or its link's target. Token k is anomalous when
 *   - its send, or any receive of it, is stamped before the send of token k - 1, or
 *   - on one side (the senders, or one receiving process) it is stamped before token k - 1 is.
 * Anomalous tokens are counted, each once, whatever is wrong with it. A receive's stamp is its start; of a span that
 * receives (it may have begun to poll earlier) its end. Differences within the quantum of stamping do not count.
 * Numbered events inside a span (gen_ai instrumentations) are a stream of their own, on one clock. */
#ifndef TSPI_CAUSAL_TOKENS_H
#define TSPI_CAUSAL_TOKENS_H

#include "causal/hops.h"

typedef struct {
    uint64_t streams, tokens, anomalies;
    uint64_t cross_clock; /* anomalies seen only by comparing two clocks */
} tspi_token_report;

/* sink: NULL, or called with each anomaly as a hop of kind TSPI_HOP_CHECK from the predecessor to the token.
 * Errors: TSP_ENOMEM, or what the sink says. */
tsp_status tspi_tokens_check(const tspi_join *join, tspi_hop_sink sink, void *ctx, tspi_token_report *ret_report,
                             tsp_error *err);

#endif

/* The audit behind tsp_check_run, for those who have read the input already. */
#ifndef TSPI_HEALTH_AUDIT_H
#define TSPI_HEALTH_AUDIT_H

#include "mend/mend.h"
#include "truespan/check.h"

/* What tsp_check_run finds in the input of a mend that is open and not corrected yet, without reading it again.
 * options: paths, format and keep_going are the mend's; window means nothing. Where the mend's solver was asked what
 * this audit would ask, its answer is taken. Errors: TSP_EINVAL: no such reference; TSP_ENOMEM. */
tsp_status tspi_audit_of_mend(const tspi_mend *mend, const tsp_check_options *options, tsp_check **ret_check,
                              tsp_error *err);

/* *ret_check: an audit by the mend's own answer, whatever its solver was asked, for its pairs (tsp_check_pairs); NULL:
 * there are none, which is often seen without an audit, that takes as long as solving. Errors: TSP_ENOMEM. */
tsp_status tspi_audit_pairs_of(const tspi_mend *mend, tsp_check **ret_check, tsp_error *err);

#endif

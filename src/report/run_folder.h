/* A folder that `truespan lab` or `truespan sim` left: its points, and the curve that its run without skew predicts. */
#ifndef TSPI_REPORT_RUN_FOLDER_H
#define TSPI_REPORT_RUN_FOLDER_H

#include <stdbool.h>

#include "base/buf.h"
#include "truespan/base.h"

enum { TSPI_RUN_POINTS_MAX = 1024 };

/* One point of the sweep: a folder with otlp/ and truth.jsonl in it. */
typedef struct {
    char transport[32];
    char folder[256]; /* below the run's; no slash in it */
    int64_t skew_ns;
    bool null_run;
} tspi_run_point;

typedef struct {
    char path[4096];
    tspi_buf summary;       /* summary.json as it stands: one JSON value */
    tspi_run_point *points; /* owned, in the order of the summary */
    size_t points_n;
} tspi_run_folder;

/* Whether path is such a folder: summary.json is in it. */
bool tspi_is_run_folder(const char *path);

/* Whether path is one point of a run: otlp/ and truth.jsonl are in it. */
bool tspi_is_run_point(const char *path);

/* Errors: TSP_EIO; TSP_EPARSE: summary.json is not what a run leaves; TSP_ENOMEM. Zero ret_folder first. */
tsp_status tspi_run_folder_read(const char *path, tspi_run_folder *ret_folder, tsp_error *err);
void tspi_run_folder_release(tspi_run_folder *folder);

/* Whether a point has traces: its folder is still there, and a span was written. */
bool tspi_run_folder_has(const tspi_run_folder *folder, const tspi_run_point *point);

/* Appends [{"transport": T, "baseline": FOLDER, "points": [{"skew_ns", "rate", "lo", "hi"}, ...]}, ...]: for each
 * transport with a run without skew the rate that its hop delays predict, 95 %, at skews over the whole sweep, those of
 * the sweep among them. Left out: a transport whose run without skew is gone. Nothing for clocks that are off by more
 * than a constant. */
tsp_status tspi_put_prediction(const tspi_run_folder *folder, tspi_buf *out, tsp_error *err);

#endif

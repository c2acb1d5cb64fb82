/* In place of media_driver.c where the build has no Aeron. */
#include "lab/media_driver.h"

tsp_status tspi_media_driver_start(tspi_media_driver *driver, const tspi_media_driver_config *config, tsp_error *err)
{
    (void)config;
    *driver = (tspi_media_driver){0};
    return tsp_error_set(err, TSP_EUNSUPPORTED, "this build has no Aeron (tools/parts/aeron.sh fetches it)");
}

tsp_status tspi_media_driver_check(tspi_media_driver *driver, tsp_error *err)
{
    (void)driver, (void)err;
    return TSP_OK;
}

void tspi_media_driver_stop(tspi_media_driver *driver)
{
    (void)driver;
}

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

tsp_status tspi_media_drivers_fit(uint32_t drivers, uint32_t streams, uint32_t term_bytes, tsp_error *err)
{
    (void)drivers, (void)streams, (void)term_bytes, (void)err;
    return TSP_OK;
}

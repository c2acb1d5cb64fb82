/* A service of a topology: answers calls. What it calls itself was answered before it sees the call (calls.c). */
#include "lab/calls.h"
#include "lab/node.h"

const struct tspi_stage_ops tspi_stage_service = {.on_message = tspi_call_answer};

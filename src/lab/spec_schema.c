#include "lab/spec_schema.h"

#define OPTIONAL CYAML_FLAG_OPTIONAL
#define OPTIONAL_PTR (CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL)
#define TEXT(key, type, member) CYAML_FIELD_STRING_PTR(key, OPTIONAL_PTR, type, member, 0, CYAML_UNLIMITED)

static const cyaml_schema_value_t text_entry = {
    CYAML_VALUE_STRING(CYAML_FLAG_POINTER, char *, 0, CYAML_UNLIMITED),
};

static const cyaml_schema_field_t engine_fields[] = {
    TEXT("name", struct raw_engine, name),
    TEXT("model", struct raw_engine, model),
    CYAML_FIELD_UINT_PTR("max_tokens", OPTIONAL_PTR, struct raw_engine, max_tokens),
    CYAML_FIELD_UINT_PTR("chunk_tokens", OPTIONAL_PTR, struct raw_engine, chunk_tokens),
    CYAML_FIELD_UINT_PTR("slots", OPTIONAL_PTR, struct raw_engine, slots),
    CYAML_FIELD_FLOAT_PTR("temperature", OPTIONAL_PTR, struct raw_engine, temperature),
    CYAML_FIELD_END,
};

static const cyaml_schema_field_t phase_fields[] = {
    TEXT("at", struct raw_phase, at),
    CYAML_FIELD_FLOAT_PTR("rate", OPTIONAL_PTR, struct raw_phase, rate),
    CYAML_FIELD_END,
};

static const cyaml_schema_value_t phase_entry = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct raw_phase, phase_fields),
};

static const cyaml_schema_field_t load_fields[] = {
    TEXT("arrival", struct raw_load, arrival),
    CYAML_FIELD_FLOAT_PTR("rate", OPTIONAL_PTR, struct raw_load, rate),
    CYAML_FIELD_UINT_PTR("concurrency", OPTIONAL_PTR, struct raw_load, concurrency),
    TEXT("prompts", struct raw_load, prompts),
    CYAML_FIELD_SEQUENCE("phases", OPTIONAL_PTR, struct raw_load, phases, &phase_entry, 0, CYAML_UNLIMITED),
    CYAML_FIELD_END,
};

static const cyaml_schema_field_t link_fields[] = {
    TEXT("delay", struct raw_link, delay),
    TEXT("jitter", struct raw_link, jitter),
    CYAML_FIELD_FLOAT_PTR("loss", OPTIONAL_PTR, struct raw_link, loss),
    CYAML_FIELD_FLOAT_PTR("rate_mbit", OPTIONAL_PTR, struct raw_link, rate_mbit),
    CYAML_FIELD_END,
};

static const cyaml_schema_field_t aeron_fields[] = {
    TEXT("idle", struct raw_aeron, idle),
    CYAML_FIELD_UINT_PTR("term_bytes", OPTIONAL_PTR, struct raw_aeron, term_bytes),
    CYAML_FIELD_END,
};

static const cyaml_schema_field_t kafka_fields[] = {
    TEXT("broker", struct raw_kafka, broker),
    TEXT("acks", struct raw_kafka, acks),
    TEXT("linger", struct raw_kafka, linger),
    TEXT("fetch_wait_max", struct raw_kafka, fetch_wait_max),
    TEXT("warm_up", struct raw_kafka, warm_up),
    CYAML_FIELD_SEQUENCE("settings", OPTIONAL_PTR, struct raw_kafka, settings, &text_entry, 0, CYAML_UNLIMITED),
    CYAML_FIELD_END,
};

static const cyaml_schema_field_t step_fields[] = {
    TEXT("at", struct raw_step, at),
    TEXT("size", struct raw_step, size),
    CYAML_FIELD_FLOAT_PTR("slew_ppm", OPTIONAL_PTR, struct raw_step, slew_ppm),
    CYAML_FIELD_END,
};

static const cyaml_schema_value_t step_entry = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct raw_step, step_fields),
};

static const cyaml_schema_field_t clock_fields[] = {
    TEXT("stage", struct raw_clock, stage),
    TEXT("offset", struct raw_clock, offset),
    CYAML_FIELD_FLOAT_PTR("drift_ppm", OPTIONAL_PTR, struct raw_clock, drift_ppm),
    CYAML_FIELD_FLOAT_PTR("wander_ppm", OPTIONAL_PTR, struct raw_clock, wander_ppm),
    TEXT("ntp_peak", struct raw_clock, ntp_peak),
    TEXT("ntp_period", struct raw_clock, ntp_period),
    CYAML_FIELD_SEQUENCE("steps", OPTIONAL_PTR, struct raw_clock, steps, &step_entry, 0, CYAML_UNLIMITED),
    CYAML_FIELD_END,
};

static const cyaml_schema_field_t experiment_fields[] = {
    TEXT("duration", struct raw_experiment, duration),
    CYAML_FIELD_UINT_PTR("requests", OPTIONAL_PTR, struct raw_experiment, requests),
    CYAML_FIELD_UINT_PTR("rounds", OPTIONAL_PTR, struct raw_experiment, rounds),
    TEXT("null_run", struct raw_experiment, null_run),
    CYAML_FIELD_UINT_PTR("throughput_pairs", OPTIONAL_PTR, struct raw_experiment, throughput_pairs),
    CYAML_FIELD_UINT_PTR("throughput_requests", OPTIONAL_PTR, struct raw_experiment, throughput_requests),
    TEXT("health_window", struct raw_experiment, health_window),
    TEXT("on_failure", struct raw_experiment, on_failure),
    TEXT("bucket", struct raw_experiment, bucket),
    CYAML_FIELD_SEQUENCE("sweep", OPTIONAL_PTR, struct raw_experiment, sweep, &text_entry, 1, CYAML_UNLIMITED),
    CYAML_FIELD_END,
};

static const cyaml_schema_field_t edge_fields[] = {
    TEXT("from", struct raw_edge, from),
    TEXT("to", struct raw_edge, to),
    TEXT("delay", struct raw_edge, delay),
    CYAML_FIELD_END,
};

static const cyaml_schema_value_t edge_entry = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct raw_edge, edge_fields),
};

static const cyaml_schema_field_t congestion_fields[] = {
    TEXT("from", struct raw_congestion, from),
    TEXT("to", struct raw_congestion, to),
    TEXT("at", struct raw_congestion, at),
    TEXT("for", struct raw_congestion, length),
    TEXT("delay", struct raw_congestion, delay),
    TEXT("spread", struct raw_congestion, spread),
    CYAML_FIELD_END,
};

static const cyaml_schema_value_t congestion_entry = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct raw_congestion, congestion_fields),
};

static const cyaml_schema_field_t sim_fields[] = {
    TEXT("delays", struct raw_sim, delays),
    CYAML_FIELD_FLOAT_PTR("shape", OPTIONAL_PTR, struct raw_sim, shape),
    TEXT("delays_file", struct raw_sim, delays_file),
    CYAML_FIELD_UINT_PTR("delays_run", OPTIONAL_PTR, struct raw_sim, delays_run),
    TEXT("wake", struct raw_sim, wake),
    TEXT("wake_spread", struct raw_sim, wake_spread),
    TEXT("receive", struct raw_sim, receive),
    TEXT("send", struct raw_sim, send),
    TEXT("tokenize", struct raw_sim, tokenize),
    TEXT("token", struct raw_sim, token),
    TEXT("detokenize", struct raw_sim, detokenize),
    TEXT("service", struct raw_sim, service),
    TEXT("late_by", struct raw_sim, late_by),
    TEXT("offset", struct raw_sim, offset),
    TEXT("saturated_wait", struct raw_sim, saturated_wait),
    CYAML_FIELD_FLOAT_PTR("work_spread", OPTIONAL_PTR, struct raw_sim, work_spread),
    CYAML_FIELD_FLOAT_PTR("saturated", OPTIONAL_PTR, struct raw_sim, saturated),
    CYAML_FIELD_FLOAT_PTR("late_stamps", OPTIONAL_PTR, struct raw_sim, late_stamps),
    CYAML_FIELD_FLOAT_PTR("drift_ppm", OPTIONAL_PTR, struct raw_sim, drift_ppm),
    CYAML_FIELD_FLOAT_PTR("wander_ppm", OPTIONAL_PTR, struct raw_sim, wander_ppm),
    CYAML_FIELD_SEQUENCE("edges", OPTIONAL_PTR, struct raw_sim, edges, &edge_entry, 0, CYAML_UNLIMITED),
    CYAML_FIELD_SEQUENCE("congestion", OPTIONAL_PTR, struct raw_sim, congestion, &congestion_entry, 0, CYAML_UNLIMITED),
    CYAML_FIELD_END,
};

static const cyaml_schema_field_t topology_fields[] = {
    TEXT("shape", struct raw_topology, shape),
    CYAML_FIELD_UINT_PTR("depth", OPTIONAL_PTR, struct raw_topology, depth),
    CYAML_FIELD_UINT_PTR("width", OPTIONAL_PTR, struct raw_topology, width),
    CYAML_FIELD_UINT_PTR("fan", OPTIONAL_PTR, struct raw_topology, fan),
    TEXT("wait", struct raw_topology, wait),
    CYAML_FIELD_END,
};

static const cyaml_schema_field_t stage_fields[] = {
    TEXT("name", struct raw_stage, name),
    TEXT("role", struct raw_stage, role),
    CYAML_FIELD_UINT_PTR("workers", OPTIONAL_PTR, struct raw_stage, workers),
    CYAML_FIELD_SEQUENCE("to", OPTIONAL_PTR, struct raw_stage, to, &text_entry, 0, CYAML_UNLIMITED),
    CYAML_FIELD_END,
};

static const cyaml_schema_value_t stage_entry = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct raw_stage, stage_fields),
};

static const cyaml_schema_field_t host_fields[] = {
    TEXT("name", struct raw_host, name),
    TEXT("ssh", struct raw_host, ssh),
    TEXT("address", struct raw_host, address),
    TEXT("truespan", struct raw_host, truespan),
    CYAML_FIELD_SEQUENCE("stages", OPTIONAL_PTR, struct raw_host, stages, &text_entry, 0, CYAML_UNLIMITED),
    CYAML_FIELD_END,
};

static const cyaml_schema_value_t host_entry = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct raw_host, host_fields),
};

static const cyaml_schema_field_t spec_fields[] = {
    TEXT("name", struct raw_spec, name),
    TEXT("seed", struct raw_spec, seed),
    TEXT("transport", struct raw_spec, transport),
    TEXT("nodes", struct raw_spec, nodes),
    CYAML_FIELD_UINT_PTR("port", OPTIONAL_PTR, struct raw_spec, port),
    CYAML_FIELD_MAPPING("engine", OPTIONAL, struct raw_spec, engine, engine_fields),
    CYAML_FIELD_MAPPING("load", OPTIONAL, struct raw_spec, load, load_fields),
    CYAML_FIELD_MAPPING("link", OPTIONAL, struct raw_spec, link, link_fields),
    CYAML_FIELD_MAPPING("aeron", OPTIONAL, struct raw_spec, aeron, aeron_fields),
    CYAML_FIELD_MAPPING("kafka", OPTIONAL, struct raw_spec, kafka, kafka_fields),
    CYAML_FIELD_MAPPING("clock", OPTIONAL, struct raw_spec, clock, clock_fields),
    CYAML_FIELD_MAPPING("experiment", OPTIONAL, struct raw_spec, experiment, experiment_fields),
    CYAML_FIELD_SEQUENCE("hosts", OPTIONAL_PTR, struct raw_spec, hosts, &host_entry, 0, CYAML_UNLIMITED),
    CYAML_FIELD_MAPPING("topology", OPTIONAL, struct raw_spec, topology, topology_fields),
    CYAML_FIELD_MAPPING("sim", OPTIONAL, struct raw_spec, sim, sim_fields),
    CYAML_FIELD_SEQUENCE("stages", OPTIONAL_PTR, struct raw_spec, stages, &stage_entry, 1, CYAML_UNLIMITED),
    CYAML_FIELD_END,
};

const cyaml_schema_value_t tspi_spec_schema = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_POINTER, struct raw_spec, spec_fields),
};

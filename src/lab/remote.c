#include "lab/remote.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lab/scratch.h"

enum { SSH_WORDS_MAX = 64 };
static const int64_t file_timeout_ns = 20 * TSP_NS_PER_S;
static const char scratch_prefix[] = "truespan-node-";

/* What a node leaves of a block, as span_writer.c and stage_gateway.c name it. */
enum { FILE_KINDS = 3 };

static void file_name(int kind, const char *node, char *ret_name, size_t size)
{
    if (kind == FILE_KINDS - 1)
        snprintf(ret_name, size, "requests.jsonl");
    else
        snprintf(ret_name, size, "%s/%s.jsonl", kind ? "truth" : "otlp", node);
}

/* ------------------------------------------------------------------ the conductor's side */

/* BatchMode: a question for a password would hang a run that nobody watches. Keepalives: a host that vanishes ends the
 * run within seconds. ssh takes the first value of an option, so a spec cannot undo these. */
static const char *const ssh_options[] = {
    "-T",
    "-o",
    "BatchMode=yes",
    "-o",
    "ConnectTimeout=10",
    "-o",
    "ServerAliveInterval=2",
    "-o",
    "ServerAliveCountMax=3",
};

void tspi_remote_exec(const tspi_host_spec *host, const char *stage, uint32_t worker, uint16_t port, const char *run,
                      const char *broker)
{
    char words[4096], worker_text[16], port_text[16];
    const char *argv[SSH_WORDS_MAX + 24] = {"ssh"};
    size_t n = 1;

    for (size_t k = 0; k < sizeof ssh_options / sizeof *ssh_options; k++)
        argv[n++] = ssh_options[k];
    snprintf(words, sizeof words, "%s", host->ssh);
    for (char *save, *word = strtok_r(words, " ", &save); word; word = strtok_r(NULL, " ", &save)) {
        if (n > SSH_WORDS_MAX) {
            errno = E2BIG;
            return;
        }
        argv[n++] = word;
    }
    snprintf(worker_text, sizeof worker_text, "%" PRIu32, worker);
    snprintf(port_text, sizeof port_text, "%u", port);
    const char *const command[] = {
        host->truespan ? host->truespan : "truespan",
        "lab",
        "node",
        "--remote",
        "--delay-line",
        "--stage",
        stage,
        "--worker",
        worker_text,
        "--host",
        host->address,
        "--port",
        port_text,
    };
    for (size_t k = 0; k < sizeof command / sizeof *command; k++)
        argv[n++] = command[k];
    if (*run) {
        argv[n++] = "--run";
        argv[n++] = run;
    }
    if (*broker) {
        argv[n++] = "--broker";
        argv[n++] = broker;
    }
    argv[n] = NULL;
    execvp("ssh", (char *const *)argv);
}

tsp_status tspi_remote_send_setup(tspi_control *control, const tspi_spec *spec, const char *spec_path, tsp_error *err)
{
    tsp_status rc = tspi_control_send_file(control, "spec.yaml", spec_path, err);

    if (rc == TSP_OK && spec->load.prompts)
        rc = tspi_control_send_file(control, "prompts.txt", spec->load.prompts, err);
    return rc == TSP_OK ? tspi_control_send(control, err, "start") : rc;
}

static bool parse_file_line(const char *line, char ret_name[256], uint64_t *ret_bytes)
{
    int end = 0;

    return sscanf(line, "file %255s %" SCNu64 "%n", ret_name, ret_bytes, &end) == 2 && end && !line[end];
}

tsp_status tspi_remote_take_file(tspi_control *control, const char *line, const char *node, const char *folder,
                                 void (*meanwhile)(void *ctx), void *ctx, tsp_error *err)
{
    char name[256], allowed[256], path[4400];
    uint64_t bytes;

    if (!parse_file_line(line, name, &bytes))
        return tsp_error_set(err, TSP_EPARSE, "no file: '%.80s'", line);
    for (int kind = 0; kind < FILE_KINDS; kind++) {
        file_name(kind, node, allowed, sizeof allowed);
        if (strcmp(name, allowed) != 0)
            continue;
        snprintf(path, sizeof path, "%s/%s", folder, name);
        return tspi_control_recv_file(control, bytes, path, file_timeout_ns, meanwhile, ctx, err);
    }
    return tsp_error_set(err, TSP_EPARSE, "it sent the file '%.80s', which is none of its own", name);
}

/* ------------------------------------------------------------------ the node's side */

static tsp_status make_folders(tspi_remote_place *place, tsp_error *err)
{
    static const char *const below[] = {"block", "block/otlp", "block/truth"};
    const char *base = getenv("TMPDIR");
    char path[4200];

    base = base && *base ? base : "/tmp";
    tspi_scratch_sweep(base, scratch_prefix);
    tsp_status rc = tspi_scratch_make(base, scratch_prefix, place->folder, sizeof place->folder, &place->lock_fd, err);
    for (size_t k = 0; rc == TSP_OK && k < sizeof below / sizeof *below; k++) {
        snprintf(path, sizeof path, "%s/%s", place->folder, below[k]);
        if (mkdir(path, 0700) != 0)
            rc = tsp_error_sys(err, errno, "cannot make the folder '%s'", path);
    }
    return rc;
}

tsp_status tspi_remote_receive_setup(tspi_control *control, tspi_remote_place *ret_place, tsp_error *err)
{
    tsp_status rc = make_folders(ret_place, err);

    if (rc == TSP_OK)
        rc = tspi_control_send(control, err, "version %s", tsp_version());
    while (rc == TSP_OK) {
        char *line, name[256], path[4400];
        uint64_t bytes;
        rc = tspi_control_recv(control, &line, err);
        if (rc == TSP_OK && !strcmp(line, "start"))
            return TSP_OK;
        if (rc == TSP_OK && (!parse_file_line(line, name, &bytes) ||
                             (strcmp(name, "spec.yaml") != 0 && strcmp(name, "prompts.txt") != 0)))
            return tsp_error_set(err, TSP_EPARSE, "no file to begin with: '%.80s'", line);
        snprintf(path, sizeof path, "%s/%s", ret_place->folder, rc == TSP_OK ? name : "");
        if (rc == TSP_OK)
            rc = tspi_control_recv_file(control, bytes, path, file_timeout_ns, NULL, NULL, err);
        else if (rc == TSP_ECLOSED)
            rc = tsp_error_set(err, TSP_ECLOSED, "the conductor is gone");
    }
    return rc;
}

tsp_status tspi_remote_send_block_files(tspi_control *control, const char *folder, const char *node, tsp_error *err)
{
    tsp_status rc = TSP_OK;

    for (int kind = 0; kind < FILE_KINDS && rc == TSP_OK; kind++) {
        char name[256], path[4400];
        file_name(kind, node, name, sizeof name);
        snprintf(path, sizeof path, "%s/block/%s", folder, name);
        rc = tspi_control_send_file(control, name, path, err);
        unlink(path);
    }
    return rc;
}

void tspi_remote_leave(tspi_remote_place *place)
{
    tspi_scratch_remove(place->folder);
    place->folder[0] = '\0';
    if (place->lock_fd > 0)
        close(place->lock_fd);
    place->lock_fd = -1;
}

#include "test.h"

#include "lab/prompts.h"

static char path[64];

static tsp_status load(const void *bytes, size_t len, tspi_prompts *prompts, tsp_error *err)
{
    snprintf(path, sizeof path, "prompts-XXXXXX");
    int fd = mkstemp(path);
    if (fd < 0 || write(fd, bytes, len) != (ssize_t)len)
        return tsp_error_set(err, TSP_EIO, "the test cannot write '%s'", path);
    close(fd);
    *err = (tsp_error){0};
    tsp_status rc = tspi_prompts_load(path, prompts, err);
    unlink(path);
    return rc;
}

static void check_prompt(const tspi_prompts *prompts, uint32_t k, const char *want)
{
    size_t len;
    const char *got = tspi_prompt(prompts, k, &len);

    if (len != strlen(want) || memcmp(got, want, len) != 0)
        TEST_FAIL("prompt %u is '%.*s', want '%s'", k, (int)len, got, want);
}

TEST(prompts, the_built_in_ones_are_there)
{
    tspi_prompts prompts;
    tsp_error err = {0};

    CHECK_STATUS(tspi_prompts_load(NULL, &prompts, &err), TSP_OK, &err);
    CHECK(prompts.n >= 20);
    for (uint32_t k = 0; k < prompts.n; k++) {
        size_t len;
        const char *text = tspi_prompt(&prompts, k, &len);
        CHECK(len > 0 && len < 1000 && text[0] != '#');
    }
    tspi_prompts_release(&prompts);
}

TEST(prompts, lines_comments_and_endings)
{
    static const char text[] = "# a comment\nfirst\r\n\n  second \n#third\nlast\xc3\xa9";
    tspi_prompts prompts;
    tsp_error err;

    CHECK_STATUS(load(text, sizeof text - 1, &prompts, &err), TSP_OK, &err);
    REQUIRE(prompts.n == 3);
    check_prompt(&prompts, 0, "first");
    check_prompt(&prompts, 1, "  second ");
    check_prompt(&prompts, 2, "last\xc3\xa9");
    tspi_prompts_release(&prompts);
}

TEST(prompts, bad_files_are_refused_with_the_line)
{
    tspi_prompts prompts;
    tsp_error err = {0};
    static char huge[70000];

    CHECK_STATUS(tspi_prompts_load("there-is-no-such-file", &prompts, &err), TSP_EIO, &err);
    CHECK_CONTAINS(err.message, "there-is-no-such-file");
    CHECK_STATUS(load("", 0, &prompts, &err), TSP_EINVAL, &err);
    CHECK_CONTAINS(err.message, "holds no prompts");
    CHECK_STATUS(load("\n\n# nothing\n\r\n", 14, &prompts, &err), TSP_EINVAL, &err);
    CHECK_STATUS(load("good\nbad \xff\n", 11, &prompts, &err), TSP_EINVAL, &err);
    CHECK_CONTAINS(err.message, "line 2");
    CHECK_CONTAINS(err.message, "UTF-8");
    memset(huge, 'x', sizeof huge);
    huge[1] = '\n';
    CHECK_STATUS(load(huge, sizeof huge, &prompts, &err), TSP_EINVAL, &err);
    CHECK_CONTAINS(err.message, "line 2");
    CHECK_CONTAINS(err.message, "limit");
}

/* C11's threads by way of POSIX's, in builds with ThreadSanitizer only. librdkafka's threads and locks are C11's, which
 * the sanitizer does not watch: it crashes in the first thread that it has not seen begin, and takes what those locks
 * guard for races. The executable's functions come before the C library's, so librdkafka calls these. */
#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <threads.h>

#define TO_ALL __attribute__((visibility("default"), used))

/* The C library has the same in both shapes. */
_Static_assert(sizeof(mtx_t) >= sizeof(pthread_mutex_t), "a C11 mutex holds a POSIX one");
_Static_assert(sizeof(cnd_t) >= sizeof(pthread_cond_t), "a C11 condition variable holds a POSIX one");
_Static_assert(sizeof(thrd_t) == sizeof(pthread_t), "a C11 thread is a POSIX one");

struct beginning {
    thrd_start_t begin;
    void *arg;
};

static void *begin(void *arg)
{
    struct beginning beginning = *(struct beginning *)arg;

    free(arg);
    return (void *)(intptr_t)beginning.begin(beginning.arg);
}

static int answer(int number)
{
    return number == 0 ? thrd_success : number == EBUSY ? thrd_busy : number == ETIMEDOUT ? thrd_timedout : thrd_error;
}

TO_ALL int thrd_create(thrd_t *ret_thread, thrd_start_t start, void *arg)
{
    struct beginning *beginning = malloc(sizeof *beginning);

    if (!beginning)
        return thrd_nomem;
    *beginning = (struct beginning){start, arg};
    int number = pthread_create(ret_thread, NULL, begin, beginning);
    if (number)
        free(beginning);
    return answer(number);
}

TO_ALL int thrd_join(thrd_t thread, int *ret_result)
{
    void *result;
    int number = pthread_join(thread, &result);

    if (number == 0 && ret_result)
        *ret_result = (int)(intptr_t)result;
    return answer(number);
}

TO_ALL int mtx_init(mtx_t *mutex, int type)
{
    pthread_mutexattr_t attributes;

    pthread_mutexattr_init(&attributes);
    pthread_mutexattr_settype(&attributes, type & mtx_recursive ? PTHREAD_MUTEX_RECURSIVE : PTHREAD_MUTEX_NORMAL);
    int number = pthread_mutex_init((pthread_mutex_t *)mutex, &attributes);
    pthread_mutexattr_destroy(&attributes);
    return answer(number);
}

TO_ALL int mtx_lock(mtx_t *mutex)
{
    return answer(pthread_mutex_lock((pthread_mutex_t *)mutex));
}

TO_ALL int mtx_trylock(mtx_t *mutex)
{
    return answer(pthread_mutex_trylock((pthread_mutex_t *)mutex));
}

TO_ALL int mtx_unlock(mtx_t *mutex)
{
    return answer(pthread_mutex_unlock((pthread_mutex_t *)mutex));
}

TO_ALL void mtx_destroy(mtx_t *mutex)
{
    pthread_mutex_destroy((pthread_mutex_t *)mutex);
}

TO_ALL int cnd_init(cnd_t *condition)
{
    return answer(pthread_cond_init((pthread_cond_t *)condition, NULL));
}

TO_ALL int cnd_signal(cnd_t *condition)
{
    return answer(pthread_cond_signal((pthread_cond_t *)condition));
}

TO_ALL int cnd_broadcast(cnd_t *condition)
{
    return answer(pthread_cond_broadcast((pthread_cond_t *)condition));
}

TO_ALL int cnd_wait(cnd_t *condition, mtx_t *mutex)
{
    return answer(pthread_cond_wait((pthread_cond_t *)condition, (pthread_mutex_t *)mutex));
}

TO_ALL int cnd_timedwait(cnd_t *condition, mtx_t *mutex, const struct timespec *until)
{
    return answer(pthread_cond_timedwait((pthread_cond_t *)condition, (pthread_mutex_t *)mutex, until));
}

TO_ALL void cnd_destroy(cnd_t *condition)
{
    pthread_cond_destroy((pthread_cond_t *)condition);
}

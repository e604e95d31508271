/* The sockets of libzmq that are attacked: target KIND... binds one socket of
   each kind, prints its name and endpoint, and ends with its standard input.

     router, curve  return each message to its sender
     pull           receives; a second socket, ack, sends back what is from the
                    good peer, which begins with "good"
     pub, xpub      send "good" and the time each millisecond; xpub never
                    receives */

#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <zmq.h>

static const char *server_secret = "{X}#>t#jRGaQ}gMhv=30r(Mw+87YGs+5%kh=i@f8";

static void *context;

static void check(int ok, const char *what)
{
    if (!ok) {
        fprintf(stderr, "%s: %s\n", what, zmq_strerror(zmq_errno()));
        exit(1);
    }
}

static void *bound(int type, const char *name, int curve)
{
    char at[256];
    size_t n = sizeof at;
    int one = 1;
    void *s = zmq_socket(context, type);
    check(s != NULL, "socket");
    if (curve) {
        check(zmq_setsockopt(s, ZMQ_CURVE_SERVER, &one, sizeof one) == 0, "curve_server");
        check(zmq_setsockopt(s, ZMQ_CURVE_SECRETKEY, server_secret, 40) == 0, "curve_secretkey");
    }
    check(zmq_bind(s, "tcp://127.0.0.1:*") == 0, "bind");
    check(zmq_getsockopt(s, ZMQ_LAST_ENDPOINT, at, &n) == 0, "last_endpoint");
    printf("%s %s\n", name, at);
    return s;
}

static void *echo(void *s)
{
    zmq_msg_t m;
    for (;;) {
        zmq_msg_init(&m);
        check(zmq_msg_recv(&m, s, 0) >= 0, "recv");
        int more = zmq_msg_more(&m);
        check(zmq_msg_send(&m, s, more ? ZMQ_SNDMORE : 0) >= 0, "send");
    }
}

struct drain {
    void *pull, *ack;
};

static void *drain(void *arg)
{
    struct drain *d = arg;
    zmq_msg_t m;
    for (;;) {
        zmq_msg_init(&m);
        check(zmq_msg_recv(&m, d->pull, 0) >= 0, "recv");
        if (!zmq_msg_more(&m) && zmq_msg_size(&m) > 4 && !memcmp(zmq_msg_data(&m), "good", 4))
            check(zmq_msg_send(&m, d->ack, 0) >= 0, "send");
        else
            zmq_msg_close(&m);
    }
}

static void *publish(void *s)
{
    struct timespec t, pause = {0, 1000000};
    char body[32];
    for (;;) {
        clock_gettime(CLOCK_REALTIME, &t);
        int n = snprintf(body, sizeof body, "good%lld", t.tv_sec * 1000000000LL + t.tv_nsec);
        check(zmq_send(s, body, n, 0) >= 0, "send");
        nanosleep(&pause, NULL);
    }
}

static void start(void *(*run)(void *), void *arg)
{
    pthread_t t;
    check(pthread_create(&t, NULL, run, arg) == 0, "thread");
}

int main(int argc, char **argv)
{
    context = zmq_ctx_new();
    zmq_ctx_set(context, ZMQ_MAX_SOCKETS, 20000);
    for (int i = 1; i < argc; i++) {
        if (!strcmp(argv[i], "router")) {
            start(echo, bound(ZMQ_ROUTER, "router", 0));
        } else if (!strcmp(argv[i], "curve")) {
            start(echo, bound(ZMQ_ROUTER, "curve", 1));
        } else if (!strcmp(argv[i], "pub")) {
            start(publish, bound(ZMQ_PUB, "pub", 0));
        } else if (!strcmp(argv[i], "xpub")) {
            start(publish, bound(ZMQ_XPUB, "xpub", 0));
        } else if (!strcmp(argv[i], "pull")) {
            struct drain *d = malloc(sizeof *d);
            d->pull = bound(ZMQ_PULL, "pull", 0);
            d->ack = bound(ZMQ_PUSH, "ack", 0);
            start(drain, d);
        } else {
            fprintf(stderr, "target: no kind %s\n", argv[i]);
            return 2;
        }
    }
    printf("ready\n");
    fflush(stdout);
    while (getchar() != EOF)
        ;
    _exit(0);
}

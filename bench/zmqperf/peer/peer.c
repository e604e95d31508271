/* The libzmq side of the measurements: one program, the measurement's name
   first. Those that libzmq's own perf tools have print the lines of those
   tools; the others print "name value". */

#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <zmq.h>

static const char *server_public = "DX4nh=yUn{-9ugra0X3Src4SU-4xTgqxcYY.+<SH";
static const char *server_secret = "{X}#>t#jRGaQ}gMhv=30r(Mw+87YGs+5%kh=i@f8";
static const char *client_public = "<n^oA}I:66W+*ds3tAmi1+KJzv-}k&fC2aA5Bj0K";
static const char *client_secret = "9R9bV}[6z6DC-%$!jTVTKvWc=LEL{4i4gzUe$@Zx";

static void *context;

static void check(int ok, const char *what)
{
    if (!ok) {
        fprintf(stderr, "%s: %s\n", what, zmq_strerror(zmq_errno()));
        exit(1);
    }
}

static double now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1e6 + t.tv_nsec / 1e3;
}

static void *open_socket(int type)
{
    void *s = zmq_socket(context, type);
    check(s != NULL, "socket");
    return s;
}

static void set_int(void *s, int option, int value)
{
    check(zmq_setsockopt(s, option, &value, sizeof value) == 0, "setsockopt");
}

static void set_text(void *s, int option, const char *text)
{
    check(zmq_setsockopt(s, option, text, strlen(text)) == 0, "setsockopt");
}

static void use_curve(void *s, int server)
{
    if (server) {
        set_int(s, ZMQ_CURVE_SERVER, 1);
        set_text(s, ZMQ_CURVE_PUBLICKEY, server_public);
        set_text(s, ZMQ_CURVE_SECRETKEY, server_secret);
    } else {
        set_text(s, ZMQ_CURVE_PUBLICKEY, client_public);
        set_text(s, ZMQ_CURVE_SECRETKEY, client_secret);
        set_text(s, ZMQ_CURVE_SERVERKEY, server_public);
    }
}

static void bind_to(void *s, const char *at) { check(zmq_bind(s, at) == 0, at); }

static void connect_to(void *s, const char *at) { check(zmq_connect(s, at) == 0, at); }

static void receive_message(void *s, zmq_msg_t *m, size_t size)
{
    check(zmq_msg_recv(m, s, 0) >= 0, "recv");
    if (zmq_msg_size(m) != size) {
        fprintf(stderr, "message of %zu bytes, expected %zu\n", zmq_msg_size(m), size);
        exit(1);
    }
}

static void send_bytes(void *s, size_t size)
{
    zmq_msg_t m;
    check(zmq_msg_init_size(&m, size) == 0, "message");
    check(zmq_msg_send(&m, s, 0) >= 0, "send");
}

static void print_throughput(size_t size, long count, double us)
{
    double rate = count / us * 1e6;
    printf("message size: %d [B]\nmessage count: %ld\n", (int) size, count);
    printf("mean throughput: %ld [msg/s]\nmean throughput: %.3f [Mb/s]\n", (long) rate, rate * size * 8 / 1e6);
}

static double pull_all(void *s, size_t size, long count)
{
    zmq_msg_t m;
    zmq_msg_init(&m);
    receive_message(s, &m, size);
    double start = now_us();
    for (long i = 1; i < count; i++)
        receive_message(s, &m, size);
    double us = now_us() - start;
    zmq_msg_close(&m);
    return us;
}

static int local_thr(const char *at, size_t size, long count, int curve)
{
    void *s = open_socket(ZMQ_PULL);
    if (curve)
        use_curve(s, 1);
    bind_to(s, at);
    print_throughput(size, count, pull_all(s, size, count));
    return zmq_close(s);
}

static int remote_thr(const char *at, size_t size, long count, int curve)
{
    void *s = open_socket(ZMQ_PUSH);
    if (curve)
        use_curve(s, 0);
    connect_to(s, at);
    for (long i = 0; i < count; i++)
        send_bytes(s, size);
    /* A libzmq receiver over ipc that is behind when its peer hangs up loses
       what it has not read. The harness ends it when it has everything. */
    if (!strncmp(at, "ipc:", 4))
        pause();
    return zmq_close(s);
}

static int local_lat(const char *at, size_t size, long count)
{
    void *s = open_socket(ZMQ_REP);
    zmq_msg_t m;
    zmq_msg_init(&m);
    bind_to(s, at);
    for (long i = 0; i < count; i++) {
        receive_message(s, &m, size);
        check(zmq_msg_send(&m, s, 0) >= 0, "send");
    }
    return zmq_close(s);
}

static int by_value(const void *a, const void *b)
{
    double d = *(const double *) a - *(const double *) b;
    return (d > 0) - (d < 0);
}

static void ask_all(void *s, size_t size, long count)
{
    zmq_msg_t m;
    double *trips = calloc(count, sizeof *trips), start, last;
    check(trips != NULL, "memory");
    check(zmq_msg_init_size(&m, size) == 0, "message");
    start = last = now_us();
    for (long i = 0; i < count; i++) {
        check(zmq_msg_send(&m, s, 0) >= 0, "send");
        receive_message(s, &m, size);
        double t = now_us();
        trips[i] = t - last;
        last = t;
    }
    printf("message size: %d [B]\nroundtrip count: %ld\n", (int) size, count);
    printf("average latency: %.3f [us]\n", (last - start) / count / 2);
    qsort(trips, count, sizeof *trips, by_value);
    printf("p99 %.3f\n", trips[count * 99 / 100] / 2);
    free(trips);
    zmq_msg_close(&m);
}

static int remote_lat(const char *at, size_t size, long count)
{
    void *s = open_socket(ZMQ_REQ);
    connect_to(s, at);
    ask_all(s, size, count);
    return zmq_close(s);
}

struct work {
    const char *at;
    size_t size;
    long count;
    void *(*run)(void *);
};

static void *push_thread(void *arg)
{
    struct work *w = arg;
    remote_thr(w->at, w->size, w->count, 0);
    return NULL;
}

static void *echo_thread(void *arg)
{
    struct work *w = arg;
    void *s = open_socket(ZMQ_REP);
    zmq_msg_t m;
    zmq_msg_init(&m);
    connect_to(s, w->at);
    for (long i = 0; i < w->count; i++) {
        receive_message(s, &m, w->size);
        check(zmq_msg_send(&m, s, 0) >= 0, "send");
    }
    zmq_close(s);
    return NULL;
}

static int inproc_thr(size_t size, long count)
{
    struct work w = {"inproc://thr", size, count, NULL};
    pthread_t t;
    void *s = open_socket(ZMQ_PULL);
    bind_to(s, w.at);
    pthread_create(&t, NULL, push_thread, &w);
    print_throughput(size, count, pull_all(s, size, count));
    pthread_join(t, NULL);
    return zmq_close(s);
}

static int inproc_lat(size_t size, long count)
{
    struct work w = {"inproc://lat", size, count, NULL};
    pthread_t t;
    void *s = open_socket(ZMQ_REQ);
    bind_to(s, w.at);
    pthread_create(&t, NULL, echo_thread, &w);
    ask_all(s, size, count);
    pthread_join(t, NULL);
    return zmq_close(s);
}

/* proxy_thr: two XPUB that wait for room, XSUB-XPUB proxy, one SUB. */

static void set_hwm(void *s)
{
    set_int(s, ZMQ_SNDHWM, 10000);
    set_int(s, ZMQ_RCVHWM, 10000);
}

static void *publisher(void *arg)
{
    struct work *w = arg;
    void *s = open_socket(ZMQ_XPUB);
    char note[8];
    set_hwm(s);
    set_int(s, ZMQ_XPUB_NODROP, 1);
    set_int(s, ZMQ_SNDTIMEO, 1);
    connect_to(s, w->at);
    check(zmq_recv(s, note, sizeof note, 0) == 1 && note[0] == 1, "subscription");
    zmq_msg_t original, copy;
    check(zmq_msg_init_size(&original, w->size) == 0, "message");
    for (long sent = 0; sent < w->count;) {
        zmq_msg_init(&copy);
        zmq_msg_copy(&copy, &original);
        if (zmq_msg_send(&copy, s, 0) >= 0)
            sent++;
        else
            zmq_msg_close(&copy);
    }
    zmq_msg_close(&original);
    zmq_close(s);
    return NULL;
}

static void *proxy_thread(void *arg)
{
    struct work *w = arg;
    void *front = open_socket(ZMQ_XSUB), *back = open_socket(ZMQ_XPUB), *control = open_socket(ZMQ_REP);
    set_hwm(front);
    set_hwm(back);
    set_int(back, ZMQ_XPUB_NODROP, 1);
    bind_to(front, "inproc://front1");
    bind_to(front, "inproc://front2");
    bind_to(back, w->at);
    bind_to(control, "inproc://control");
    zmq_proxy_steerable(front, back, NULL, control);
    zmq_close(front);
    zmq_close(back);
    zmq_close(control);
    return NULL;
}

static int proxy_thr(size_t size, long count)
{
    struct work hub = {"inproc://back", size, count, NULL};
    struct work pubs[2] = {{"inproc://front1", size, count, NULL}, {"inproc://front2", size, count, NULL}};
    pthread_t proxy, threads[2];
    pthread_create(&proxy, NULL, proxy_thread, &hub);
    void *s = open_socket(ZMQ_SUB);
    set_hwm(s);
    zmq_setsockopt(s, ZMQ_SUBSCRIBE, "", 0);
    connect_to(s, hub.at);
    double start = now_us();
    for (int i = 0; i < 2; i++)
        pthread_create(&threads[i], NULL, publisher, &pubs[i]);
    zmq_msg_t m;
    zmq_msg_init(&m);
    for (long i = 0; i < count; i++)
        receive_message(s, &m, size);
    print_throughput(size, count, now_us() - start);
    zmq_close(s);
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    void *control = open_socket(ZMQ_REQ);
    connect_to(control, "inproc://control");
    zmq_send(control, "TERMINATE", 9, 0);
    zmq_close(control);
    pthread_join(proxy, NULL);
    return 0;
}

/* proxy front back, proxy_sub back size count and proxy_pub front size count:
   the same with a connection between each two, and processes of their own. The
   first and the last wait to be ended. */

static int proxy(const char *front_at, const char *back_at)
{
    void *front = open_socket(ZMQ_XSUB), *back = open_socket(ZMQ_XPUB);
    set_hwm(front);
    set_hwm(back);
    set_int(back, ZMQ_XPUB_NODROP, 1);
    bind_to(front, front_at);
    bind_to(back, back_at);
    return zmq_proxy(front, back, NULL);
}

static int proxy_sub(const char *at, size_t size, long count)
{
    void *s = open_socket(ZMQ_SUB);
    set_hwm(s);
    set_text(s, ZMQ_SUBSCRIBE, "");
    connect_to(s, at);
    double us = pull_all(s, size, count);
    printf("rate %.0f\n", (count - 1) / us * 1e6);
    return zmq_close(s);
}

static int proxy_pub(const char *at, size_t size, long count)
{
    struct work w = {at, size, count, NULL};
    pthread_t threads[2];
    for (int i = 0; i < 2; i++)
        pthread_create(&threads[i], NULL, publisher, &w);
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    return pause();
}

/* multi_sub at size count rate and multi_pub at size count rate: PUB to SUB by
   multicast, which may lose; two seconds of silence end it. rate: kbit a second. */

static void *open_multicast(int type, long rate)
{
    void *s = open_socket(type);
    set_int(s, ZMQ_RATE, (int)rate);
    set_int(s, ZMQ_RECOVERY_IVL, 1000);
    return s;
}

static int multi_sub(const char *at, size_t size, long count, long rate)
{
    void *s = open_multicast(ZMQ_SUB, rate);
    set_text(s, ZMQ_SUBSCRIBE, "");
    set_int(s, ZMQ_RCVTIMEO, 2000);
    connect_to(s, at);
    zmq_msg_t m;
    zmq_msg_init(&m);
    while (zmq_msg_recv(&m, s, 0) < 0)
        ;
    double first = now_us(), last = first;
    long got = 0;
    while (got < count - 1 && zmq_msg_recv(&m, s, 0) >= 0) {
        check(zmq_msg_size(&m) == size, "size");
        got++;
        last = now_us();
    }
    printf("rate %.0f\narrived %.6f\n", got / (last - first) * 1e6, (got + 1) / (double)count);
    return zmq_close(s);
}

static int multi_pub(const char *at, size_t size, long count, long rate)
{
    void *s = open_multicast(ZMQ_PUB, rate);
    set_int(s, ZMQ_XPUB_NODROP, 1);
    connect_to(s, at);
    usleep(500000);
    for (long i = 0; i < count; i++)
        send_bytes(s, size);
    return pause();
}

/* fan_sub at subscribers count: that many SUB, each subscribed to one of ten
   topics, each in its turn; prints the messages a second that all of them
   together received, count in all. fan_pub publishes count messages for each
   of the ten topics in turn, when all have subscribed. */

static int fan_sub(const char *at, int subscribers, long count)
{
    zmq_pollitem_t *items = calloc(subscribers, sizeof *items);
    long received = 0;
    double start = 0;
    zmq_msg_t m;
    zmq_msg_init(&m);
    for (int i = 0; i < subscribers; i++) {
        char topic[2] = {'0' + i % 10, 0};
        void *s = open_socket(ZMQ_SUB);
        set_int(s, ZMQ_RCVHWM, 0);
        set_text(s, ZMQ_SUBSCRIBE, topic);
        connect_to(s, at);
        items[i].socket = s;
        items[i].events = ZMQ_POLLIN;
    }
    while (received < count) {
        check(zmq_poll(items, subscribers, -1) >= 0, "poll");
        for (int i = 0; i < subscribers; i++) {
            if (!(items[i].revents & ZMQ_POLLIN))
                continue;
            while (zmq_msg_recv(&m, items[i].socket, ZMQ_DONTWAIT) >= 0)
                if (received++ == 0)
                    start = now_us();
        }
    }
    printf("delivered %.0f\n", received / (now_us() - start) * 1e6);
    for (int i = 0; i < subscribers; i++)
        zmq_close(items[i].socket);
    return 0;
}

static int fan_pub(const char *at, int subscribers, long rounds, size_t size)
{
    void *s = open_socket(ZMQ_XPUB);
    char note[8], *body = calloc(1, size);
    set_int(s, ZMQ_SNDHWM, 0);
    set_int(s, ZMQ_XPUB_VERBOSE, 1);
    bind_to(s, at);
    for (int i = 0; i < subscribers; i++)
        check(zmq_recv(s, note, sizeof note, 0) == 2, "subscription");
    for (long i = 0; i < rounds; i++)
        for (int t = 0; t < 10; t++) {
            body[0] = '0' + t;
            check(zmq_send(s, body, size, 0) >= 0, "send");
        }
    return zmq_close(s);
}

/* router_echo at count size and dealers at clients count size: each of the
   DEALERs keeps one message on its way; prints echoes a second. */

static int router_echo(const char *at, long count)
{
    void *s = open_socket(ZMQ_ROUTER);
    zmq_msg_t id, body;
    bind_to(s, at);
    zmq_msg_init(&id);
    zmq_msg_init(&body);
    for (long i = 0; i < count; i++) {
        check(zmq_msg_recv(&id, s, 0) >= 0, "recv");
        check(zmq_msg_recv(&body, s, 0) >= 0, "recv");
        check(zmq_msg_send(&id, s, ZMQ_SNDMORE) >= 0, "send");
        check(zmq_msg_send(&body, s, 0) >= 0, "send");
    }
    return zmq_close(s);
}

static int dealers(const char *at, int clients, long count, size_t size)
{
    zmq_pollitem_t *items = calloc(clients, sizeof *items);
    zmq_msg_t m;
    long sent = 0, received = 0;
    zmq_msg_init(&m);
    for (int i = 0; i < clients; i++) {
        items[i].socket = open_socket(ZMQ_DEALER);
        items[i].events = ZMQ_POLLIN;
        connect_to(items[i].socket, at);
    }
    double start = now_us();
    for (int i = 0; i < clients && sent < count; i++, sent++)
        send_bytes(items[i].socket, size);
    while (received < count) {
        check(zmq_poll(items, clients, -1) >= 0, "poll");
        for (int i = 0; i < clients; i++) {
            if (!(items[i].revents & ZMQ_POLLIN))
                continue;
            receive_message(items[i].socket, &m, size);
            received++;
            if (sent < count) {
                send_bytes(items[i].socket, size);
                sent++;
            }
        }
    }
    printf("echoes %.0f\n", received / (now_us() - start) * 1e6);
    for (int i = 0; i < clients; i++)
        zmq_close(items[i].socket);
    return 0;
}

static long resident(void)
{
    long pages = 0, ignored;
    FILE *f = fopen("/proc/self/statm", "r");
    if (f == NULL || fscanf(f, "%ld %ld", &ignored, &pages) != 2)
        pages = 0;
    if (f != NULL)
        fclose(f);
    return pages * sysconf(_SC_PAGESIZE);
}

/* topics at subscriptions count: an XPUB with that many distinct subscriptions
   of one SUB in this process publishes messages that match none; prints
   nanoseconds a message and bytes a subscription. */

static int topics(const char *at, long subscriptions, long count)
{
    void *pub = open_socket(ZMQ_XPUB), *sub = open_socket(ZMQ_XSUB);
    char topic[32], note[32];
    set_int(pub, ZMQ_SNDHWM, 0);
    set_int(pub, ZMQ_RCVHWM, 0);
    set_int(sub, ZMQ_SNDHWM, 0);
    set_int(sub, ZMQ_RCVHWM, 0);
    bind_to(pub, at);
    connect_to(sub, at);
    long before = resident();
    for (long i = 0; i < subscriptions; i++) {
        int n = snprintf(topic, sizeof topic, "\001topic.%08lx", (unsigned long) (i * 2654435761u & 0xffffffffu));
        check(zmq_send(sub, topic, n, 0) >= 0, "subscribe");
        if (i % 1000 == 999)
            for (int k = 0; k < 1000; k++)
                check(zmq_recv(pub, note, sizeof note, 0) > 0, "subscription");
    }
    for (long i = 0; i < subscriptions % 1000; i++)
        check(zmq_recv(pub, note, sizeof note, 0) > 0, "subscription");
    long bytes = resident() - before;
    double start = now_us();
    for (long i = 0; i < count; i++) {
        int n = snprintf(topic, sizeof topic, "topic.%07lx-none", (unsigned long) (i * 40503u & 0xfffffffu));
        check(zmq_send(pub, topic, n, 0) >= 0, "send");
    }
    printf("ns %.1f\nbytes %.1f\n", (now_us() - start) * 1e3 / count, (double) bytes / subscriptions);
    zmq_close(sub);
    return zmq_close(pub);
}

/* idle_router at peers: waits for a message of each and prints the bytes of
   memory that one peer takes. */

static int idle_router(const char *at, long peers)
{
    void *s = open_socket(ZMQ_ROUTER);
    zmq_msg_t *ids = calloc(peers, sizeof *ids), body;
    set_int(s, ZMQ_BACKLOG, 4096);
    set_int(s, ZMQ_SNDHWM, 0);
    set_int(s, ZMQ_RCVHWM, 0);
    zmq_msg_init(&body);
    long before = resident();
    bind_to(s, at);
    for (long i = 0; i < peers; i++) {
        zmq_msg_init(&ids[i]);
        check(zmq_msg_recv(&ids[i], s, 0) >= 0, "recv");
        check(zmq_msg_recv(&body, s, 0) >= 0, "recv");
    }
    printf("idle %.0f\n", (double) (resident() - before) / peers);
    for (long i = 0; i < peers; i++) {
        check(zmq_msg_send(&ids[i], s, ZMQ_SNDMORE) >= 0, "send");
        check(zmq_send(s, "done", 4, 0) >= 0, "send");
    }
    return zmq_close(s);
}

static int run(int argc, char **argv)
{
    const char *name = argv[1], *at = argv[2];
    long a = argc > 3 ? atol(argv[3]) : 0, b = argc > 4 ? atol(argv[4]) : 0, c = argc > 5 ? atol(argv[5]) : 0;
    if (argc == 4 && !strcmp(name, "proxy"))
        return proxy(at, argv[3]);
    if (argc == 5 && !strcmp(name, "proxy_sub"))
        return proxy_sub(at, a, b);
    if (argc == 5 && !strcmp(name, "proxy_pub"))
        return proxy_pub(at, a, b);
    if (argc >= 5 && !strcmp(name, "local_thr"))
        return local_thr(at, a, b, c != 0);
    if (argc >= 5 && !strcmp(name, "remote_thr"))
        return remote_thr(at, a, b, c != 0);
    if (argc == 5 && !strcmp(name, "local_lat"))
        return local_lat(at, a, b);
    if (argc == 5 && !strcmp(name, "remote_lat"))
        return remote_lat(at, a, b);
    if (argc == 4 && !strcmp(name, "inproc_thr"))
        return inproc_thr(atol(at), a);
    if (argc == 4 && !strcmp(name, "inproc_lat"))
        return inproc_lat(atol(at), a);
    if (argc == 4 && !strcmp(name, "proxy_thr"))
        return proxy_thr(atol(at), a);
    if (argc == 6 && !strcmp(name, "multi_sub"))
        return multi_sub(argv[2], (size_t)atol(argv[3]), atol(argv[4]), atol(argv[5]));
    if (argc == 6 && !strcmp(name, "multi_pub"))
        return multi_pub(argv[2], (size_t)atol(argv[3]), atol(argv[4]), atol(argv[5]));
    if (argc == 5 && !strcmp(name, "fan_sub"))
        return fan_sub(at, a, b);
    if (argc == 6 && !strcmp(name, "fan_pub"))
        return fan_pub(at, a, b, c);
    if (argc == 4 && !strcmp(name, "router_echo"))
        return router_echo(at, a);
    if (argc == 6 && !strcmp(name, "dealers"))
        return dealers(at, a, b, c);
    if (argc == 4 && !strcmp(name, "idle_router"))
        return idle_router(at, a);
    if (argc == 5 && !strcmp(name, "topics"))
        return topics(at, a, b);
    fprintf(stderr, "no measurement %s with %d arguments\n", name, argc - 2);
    return 2;
}

int main(int argc, char **argv)
{
    if (argc < 3) {
        fprintf(stderr, "usage: peer MEASUREMENT ARGUMENTS\n");
        return 2;
    }
    context = zmq_ctx_new();
    zmq_ctx_set(context, ZMQ_MAX_SOCKETS, 20000);
    int status = run(argc, argv);
    zmq_ctx_term(context);
    return status;
}

/* relay LISTEN_PORT TARGET_PORT: the least that can stand between a client and a server on one machine. One thread
   reads from one socket and writes to the other, and knows nothing of what it carries. `throughput.py` measures it
   beside the database's endpoint: what this adds, no process in between can save. For a bench only: it writes
   blocking, and ends at the first thing that goes wrong. */

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { SOCKETS_MAX = 65536, EVENTS_MAX = 64, CHUNK_BYTES = 65536 };

static int other_side[SOCKETS_MAX];

static void check(int result, const char *what) {
    if (result < 0) {
        perror(what);
        exit(1);
    }
}

static struct sockaddr_in loopback(const char *port) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(atoi(port))};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return address;
}

static void watch(int epoll, int socket) {
    struct epoll_event event = {.events = EPOLLIN, .data.fd = socket};
    check(epoll_ctl(epoll, EPOLL_CTL_ADD, socket, &event), "epoll_ctl");
}

static void join(int epoll, int client, const char *target_port) {
    int server = socket(AF_INET, SOCK_STREAM, 0), yes = 1;
    struct sockaddr_in target = loopback(target_port);
    check(server, "socket");
    check(connect(server, (struct sockaddr *)&target, sizeof target), "connect");
    setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    setsockopt(server, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    other_side[client] = server;
    other_side[server] = client;
    watch(epoll, client);
    watch(epoll, server);
}

/* Returns 0 when one side is done. */
static int pass_on(int from) {
    char chunk[CHUNK_BYTES];
    ssize_t length = recv(from, chunk, sizeof chunk, 0);
    for (ssize_t done = 0, written; done < length; done += written) {
        written = send(other_side[from], chunk + done, length - done, MSG_NOSIGNAL);
        if (written <= 0)
            return 0;
    }
    return length > 0;
}

int main(int count, char **arguments) {
    if (count != 3) {
        fprintf(stderr, "relay LISTEN_PORT TARGET_PORT\n");
        return 2;
    }
    int listener = socket(AF_INET, SOCK_STREAM, 0), epoll = epoll_create1(0), yes = 1;
    struct sockaddr_in address = loopback(arguments[1]);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    check(bind(listener, (struct sockaddr *)&address, sizeof address), "bind");
    check(listen(listener, EVENTS_MAX), "listen");
    watch(epoll, listener);
    for (;;) {
        struct epoll_event events[EVENTS_MAX];
        int ready = epoll_wait(epoll, events, EVENTS_MAX, -1);
        for (int index = 0; index < ready; index++) {
            int socket = events[index].data.fd;
            if (socket == listener) {
                join(epoll, accept(listener, NULL, NULL), arguments[2]);
            } else if (other_side[socket] && !pass_on(socket)) {
                int other = other_side[socket];
                other_side[socket] = other_side[other] = 0; /* the other's event may stand in this very list */
                close(socket);
                close(other);
            }
        }
    }
}

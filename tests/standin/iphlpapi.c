/* A stand-in for iphlpapi.dll: the documented contract, kept on an in-memory table.
 *
 * Built as a .so and as a .dll. It is deliberately unfriendly where the contract allows it: the
 * row of a callback holds garbage beyond its three keys, lies in memory that is used again and
 * is poisoned after the callback; the callback comes from a foreign thread, or from two at once
 * (real Windows is reported not to serialize); the first one may come before the registration
 * returns. A cancel that would deadlock on Windows is counted and refused instead.
 *
 * Functions named Standin... are the tests' controls. Everything is guarded by one mutex,
 * which is never held while a callback runs.
 */
#include <errno.h>
#include <pthread.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#ifdef _WIN32
#define API __declspec(dllexport) __stdcall
#else
#define API __attribute__((visibility("default")))
#define __stdcall
#endif

enum { AF_UNSPEC = 0, AF_INET = 2, AF_INET6 = 23 };
enum { MibParameterNotification, MibAddInstance, MibDeleteInstance, MibInitialNotification };
enum {
    NO_ERROR = 0,
    ERROR_FILE_NOT_FOUND = 2,
    ERROR_INVALID_HANDLE = 6,
    ERROR_NOT_ENOUGH_MEMORY = 8,
    ERROR_INVALID_PARAMETER = 87,
    ERROR_POSSIBLE_DEADLOCK = 1131,
    ERROR_NOT_FOUND = 1168,
};

typedef uint32_t DWORD;
typedef uint16_t WCHAR;

/* Only the members this file reads have a name; the tests fill the rest. */
typedef struct {
    uint16_t Family;
    uint64_t InterfaceLuid;
    uint32_t InterfaceIndex;
    uint8_t rest[148];
} MIB_IPINTERFACE_ROW;

typedef struct {
    uint64_t InterfaceLuid;
    uint32_t InterfaceIndex;
    uint8_t InterfaceGuid[16];
    WCHAR Alias[257];
    uint8_t rest[810];
} MIB_IF_ROW2;

typedef struct {
    uint32_t first, second;
} STACK_ROW;

_Static_assert(sizeof(MIB_IPINTERFACE_ROW) == 168, "MIB_IPINTERFACE_ROW");
_Static_assert(sizeof(MIB_IF_ROW2) == 1352, "MIB_IF_ROW2");
_Static_assert(offsetof(MIB_IF_ROW2, Alias) == 28, "Alias");
enum { SITE_PREFIX_LENGTH = 144 };

typedef void(__stdcall *CALLBACK)(void *context, MIB_IPINTERFACE_ROW *row, int type);

enum { INTERFACES = 4096, LINKS = 4096, PAIRS = 64, REGISTRATIONS = 64, DISPATCHERS = 2 };

typedef struct {
    int active, running;
    uint16_t family;
    CALLBACK callback;
    void *context;
    uint64_t since; /* events queued before the registration are not for it */
} Registration;

typedef struct Event {
    struct Event *next;
    uint64_t number, count;
    Registration *only; /* an initial notification is for one registration */
    int type;
    uint16_t family;
    uint64_t luid;
    uint32_t index;
} Event;

typedef struct Memory { /* what stands before each table handed out */
    struct Memory *next;
    uint64_t padding;
} Memory;

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;

static MIB_IPINTERFACE_ROW interfaces[INTERFACES];
static MIB_IF_ROW2 links[LINKS];
static STACK_ROW pairs[PAIRS];
static Registration registrations[REGISTRATIONS];
static int interface_count, link_count, pair_count, dispatchers_started;
static Event *first_event, **last_event = &first_event;
static Memory *tables;
static uint64_t events_queued;

static struct {
    int threads, initial_on_dispatcher, never_confirm, cancel_timeout_ms;
    int hold, deliver_in_listing;
} mode;

static struct {
    uint64_t callbacks, deadlocks, tables, bad_frees;
    int running, most_running;
} seen;

static struct {
    char name[40];
    DWORD status;
    int times;
} failures[16];

static _Thread_local Registration *in_callback_of;

/* The status a test wants `function` to return now, or NO_ERROR. */
static DWORD injected(const char *function) {
    DWORD status = NO_ERROR;
    pthread_mutex_lock(&mutex);
    for (size_t i = 0; i < sizeof failures / sizeof *failures; i++)
        if (failures[i].times > 0 && !strcmp(failures[i].name, function)) {
            failures[i].times--;
            status = failures[i].status;
            break;
        }
    pthread_mutex_unlock(&mutex);
    return status;
}

#define INJECTED                                  \
    do {                                          \
        DWORD injected_status = injected(__func__); \
        if (injected_status) return injected_status; \
    } while (0)

static struct timespec after_ms(int milliseconds) {
    struct timespec at;
    clock_gettime(CLOCK_REALTIME, &at);
    at.tv_sec += milliseconds / 1000;
    at.tv_nsec += (long)(milliseconds % 1000) * 1000000;
    if (at.tv_nsec >= 1000000000) at.tv_sec++, at.tv_nsec -= 1000000000;
    return at;
}

/* Runs one callback. The mutex is held on entry and on return, not during the callback. */
static void call(Registration *to, MIB_IPINTERFACE_ROW *row, int type) {
    Registration *outer = in_callback_of;
    to->running++;
    seen.callbacks++;
    if (++seen.running > seen.most_running) seen.most_running = seen.running;
    pthread_mutex_unlock(&mutex);
    in_callback_of = to;
    to->callback(to->context, row, type);
    in_callback_of = outer;
    pthread_mutex_lock(&mutex);
    seen.running--;
    to->running--;
    pthread_cond_broadcast(&changed);
}

static void deliver(const Event *event, MIB_IPINTERFACE_ROW *row) {
    for (Registration *to = registrations; to < registrations + REGISTRATIONS; to++) {
        if (!to->active || (event->only && event->only != to) || to->since >= event->number) continue;
        if (event->type == MibInitialNotification) {
            call(to, NULL, event->type);
        } else if (to->family == AF_UNSPEC || to->family == event->family) {
            memset(row, 0xCC, sizeof *row);
            row->Family = event->family;
            row->InterfaceLuid = event->luid;
            row->InterfaceIndex = event->index;
            call(to, row, event->type);
            memset(row, 0xDD, sizeof *row);
        }
    }
}

static void *dispatch(void *number) {
    MIB_IPINTERFACE_ROW row; /* one for the life of the thread: used again for each callback */
    pthread_mutex_lock(&mutex);
    for (;;) {
        while (mode.hold || !first_event || (intptr_t)number >= mode.threads)
            pthread_cond_wait(&changed, &mutex);
        Event event = *first_event;
        if (--first_event->count == 0) {
            Event *done = first_event;
            first_event = done->next;
            if (!first_event) last_event = &first_event;
            free(done);
        }
        deliver(&event, &row);
        pthread_cond_broadcast(&changed);
    }
    return NULL;
}

static void start_dispatchers(void) {
    pthread_t thread;
    for (; dispatchers_started < DISPATCHERS; dispatchers_started++) {
        pthread_create(&thread, NULL, dispatch, (void *)(intptr_t)dispatchers_started);
        pthread_detach(thread);
    }
}

static void queue_event(Event event) {
    start_dispatchers();
    Event *copy = malloc(sizeof *copy);
    *copy = event;
    copy->next = NULL;
    copy->number = ++events_queued;
    *last_event = copy;
    last_event = &copy->next;
    pthread_cond_broadcast(&changed);
}

/* ---- The documented functions ------------------------------------------------------------ */

DWORD API NotifyIpInterfaceChange(uint16_t family, CALLBACK callback, void *context,
                                  uint8_t initial, void **handle) {
    if (!callback || !handle) return ERROR_INVALID_PARAMETER;
    *handle = NULL;
    INJECTED;
    if (mode.never_confirm) return NO_ERROR; /* as Wine's: accepted, no handle, no callback */
    if (family != AF_UNSPEC && family != AF_INET && family != AF_INET6)
        return ERROR_INVALID_PARAMETER;
    pthread_mutex_lock(&mutex);
    Registration *mine = registrations;
    while (mine < registrations + REGISTRATIONS && (mine->active || mine->running)) mine++;
    if (mine == registrations + REGISTRATIONS) {
        pthread_mutex_unlock(&mutex);
        return ERROR_NOT_ENOUGH_MEMORY;
    }
    *mine = (Registration){1, 0, family, callback, context, events_queued};
    if (initial && mode.initial_on_dispatcher)
        queue_event((Event){.count = 1, .only = mine, .type = MibInitialNotification});
    else if (initial)
        call(mine, NULL, MibInitialNotification);
    *handle = mine;
    pthread_mutex_unlock(&mutex);
    return NO_ERROR;
}

DWORD API CancelMibChangeNotify2(void *handle) {
    Registration *mine = handle;
    DWORD status = NO_ERROR;
    if (!handle) return ERROR_INVALID_PARAMETER;
    INJECTED;
    pthread_mutex_lock(&mutex);
    if (mine < registrations || mine >= registrations + REGISTRATIONS || !mine->active) {
        status = ERROR_INVALID_HANDLE;
    } else if (in_callback_of == mine) { /* would wait for itself */
        status = ERROR_POSSIBLE_DEADLOCK;
    } else {
        struct timespec deadline = after_ms(mode.cancel_timeout_ms);
        mine->active = 0;
        while (mine->running && status == NO_ERROR) /* else: it waits for what the canceler holds */
            if (pthread_cond_timedwait(&changed, &mutex, &deadline) == ETIMEDOUT && mine->running)
                status = ERROR_POSSIBLE_DEADLOCK;
    }
    if (status == ERROR_POSSIBLE_DEADLOCK) seen.deadlocks++;
    pthread_mutex_unlock(&mutex);
    return status;
}

static MIB_IF_ROW2 *find_link(uint64_t luid, uint32_t index) {
    for (MIB_IF_ROW2 *link = links; link < links + link_count; link++)
        if (luid ? link->InterfaceLuid == luid : link->InterfaceIndex == index) return link;
    return NULL;
}

static MIB_IPINTERFACE_ROW *find_interface(uint16_t family, uint64_t luid, uint32_t index) {
    for (MIB_IPINTERFACE_ROW *row = interfaces; row < interfaces + interface_count; row++)
        if ((family == AF_UNSPEC || row->Family == family) &&
            (luid ? row->InterfaceLuid == luid : row->InterfaceIndex == index))
            return row;
    return NULL;
}

/* The row that the keys in `row` mean. The mutex is held; the LUID wins over the index. */
static DWORD look_up(const MIB_IPINTERFACE_ROW *row, MIB_IPINTERFACE_ROW **found) {
    if (row->Family != AF_INET && row->Family != AF_INET6) return ERROR_INVALID_PARAMETER;
    if (!row->InterfaceLuid && !row->InterfaceIndex) return ERROR_INVALID_PARAMETER;
    *found = find_interface(row->Family, row->InterfaceLuid, row->InterfaceIndex);
    if (*found) return NO_ERROR;
    return find_link(row->InterfaceLuid, row->InterfaceIndex) ||
                   find_interface(AF_UNSPEC, row->InterfaceLuid, row->InterfaceIndex)
               ? ERROR_NOT_FOUND
               : ERROR_FILE_NOT_FOUND;
}

void API InitializeIpInterfaceEntry(MIB_IPINTERFACE_ROW *row) {
    memset(row, 0xff, sizeof *row); /* "no value", as SetIpInterfaceEntry understands it */
    row->Family = AF_UNSPEC;
    row->InterfaceLuid = row->InterfaceIndex = 0;
}

DWORD API GetIpInterfaceEntry(MIB_IPINTERFACE_ROW *row) {
    MIB_IPINTERFACE_ROW *found;
    if (!row) return ERROR_INVALID_PARAMETER;
    INJECTED;
    pthread_mutex_lock(&mutex);
    DWORD status = look_up(row, &found);
    if (status == NO_ERROR) *row = *found;
    pthread_mutex_unlock(&mutex);
    return status;
}

DWORD API SetIpInterfaceEntry(MIB_IPINTERFACE_ROW *row) {
    static const struct { int start, end; } ignored[] = {
        {0, 24}, {32, 40}, {156, 164}, {164, 166}, /* keys, reassembly, RA, Connected..., offloads */
    };
    MIB_IPINTERFACE_ROW *found, after;
    if (!row) return ERROR_INVALID_PARAMETER;
    INJECTED;
    pthread_mutex_lock(&mutex);
    DWORD status = look_up(row, &found);
    if (status == NO_ERROR && row->Family == AF_INET &&
        memcmp((uint8_t *)row + SITE_PREFIX_LENGTH, "\0\0\0\0", 4))
        status = ERROR_INVALID_PARAMETER;
    if (status == NO_ERROR) {
        after = *row;
        for (size_t i = 0; i < sizeof after; i++) /* what was never set stays as it is */
            if (((uint8_t *)row)[i] == 0xff) ((uint8_t *)&after)[i] = ((uint8_t *)found)[i];
        for (size_t i = 0; i < sizeof ignored / sizeof *ignored; i++)
            memcpy((uint8_t *)&after + ignored[i].start, (uint8_t *)found + ignored[i].start,
                   ignored[i].end - ignored[i].start);
        row->InterfaceLuid = found->InterfaceLuid;
        if (memcmp(found, &after, sizeof after))
            queue_event((Event){.count = 1, .type = MibParameterNotification,
                                .family = found->Family, .luid = found->InterfaceLuid,
                                .index = found->InterfaceIndex});
        *found = after;
    }
    pthread_mutex_unlock(&mutex);
    return status;
}

/* A counted table: the number of rows, then the rows at their C offset. The mutex is held. */
static DWORD new_table(uint32_t count, const void *rows, size_t size, size_t offset, void **table) {
    Memory *memory = malloc(sizeof *memory + offset + count * size);
    uint8_t *start = (uint8_t *)(memory + 1);
    memory->next = tables;
    tables = memory;
    seen.tables++;
    memset(start, 0xCC, offset);
    memcpy(start, &count, sizeof count);
    memcpy(start + offset, rows, count * size);
    *table = start;
    return NO_ERROR;
}

DWORD API GetIpInterfaceTable(uint16_t family, void **table) {
    static MIB_IPINTERFACE_ROW wanted[INTERFACES];
    uint32_t count = 0;
    if (!table || (family != AF_UNSPEC && family != AF_INET && family != AF_INET6))
        return ERROR_INVALID_PARAMETER;
    INJECTED;
    pthread_mutex_lock(&mutex);
    for (int i = 0; i < interface_count; i++)
        if (family == AF_UNSPEC || interfaces[i].Family == family) wanted[count++] = interfaces[i];
    DWORD status = count ? new_table(count, wanted, sizeof *wanted, 8, table) : ERROR_NOT_FOUND;
    if (mode.deliver_in_listing) {
        for (Event *event = first_event; event; event = event->next)
            event->number = ++events_queued; /* it happens now */
        mode.deliver_in_listing = mode.hold = 0;
        pthread_cond_broadcast(&changed);
        while (first_event || seen.running) pthread_cond_wait(&changed, &mutex);
    }
    pthread_mutex_unlock(&mutex);
    return status;
}

DWORD API GetIfEntry2(MIB_IF_ROW2 *row) {
    if (!row || (!row->InterfaceLuid && !row->InterfaceIndex)) return ERROR_INVALID_PARAMETER;
    INJECTED;
    pthread_mutex_lock(&mutex);
    MIB_IF_ROW2 *found = find_link(row->InterfaceLuid, row->InterfaceIndex);
    if (found) *row = *found;
    pthread_mutex_unlock(&mutex);
    return found ? NO_ERROR : ERROR_FILE_NOT_FOUND;
}

DWORD API GetIfEntry2Ex(int level, MIB_IF_ROW2 *row) {
    enum { MibIfEntryNormal = 0, MibIfEntryNormalWithoutStatistics = 2 };
    if (level != MibIfEntryNormal && level != MibIfEntryNormalWithoutStatistics)
        return ERROR_INVALID_PARAMETER;
    INJECTED;
    return GetIfEntry2(row);
}

DWORD API GetIfTable2(void **table) {
    if (!table) return ERROR_INVALID_PARAMETER;
    INJECTED;
    pthread_mutex_lock(&mutex);
    DWORD status = new_table(link_count, links, sizeof *links, 8, table);
    pthread_mutex_unlock(&mutex);
    return status;
}

static DWORD stack_table(int inverted, void **table) {
    STACK_ROW rows[PAIRS];
    pthread_mutex_lock(&mutex);
    for (int i = 0; i < pair_count; i++)
        rows[i] = inverted ? (STACK_ROW){pairs[i].second, pairs[i].first} : pairs[i];
    DWORD status = pair_count ? new_table(pair_count, rows, sizeof *rows, 4, table)
                              : ERROR_NOT_FOUND;
    pthread_mutex_unlock(&mutex);
    return status;
}

DWORD API GetIfStackTable(void **table) {
    if (!table) return ERROR_INVALID_PARAMETER;
    INJECTED;
    return stack_table(0, table);
}

DWORD API GetInvertedIfStackTable(void **table) {
    if (!table) return ERROR_INVALID_PARAMETER;
    INJECTED;
    return stack_table(1, table);
}

void API FreeMibTable(void *table) {
    if (!table) return;
    pthread_mutex_lock(&mutex);
    Memory **at = &tables, *found;
    while (*at && (void *)(*at + 1) != table) at = &(*at)->next;
    found = *at;
    if (found) {
        *at = found->next;
        seen.tables--;
    } else {
        seen.bad_frees++; /* freed twice, or never ours: the row of a callback, say */
    }
    pthread_mutex_unlock(&mutex);
    free(found);
}

DWORD API ConvertInterfaceLuidToIndex(const uint64_t *luid, uint32_t *index) {
    if (!luid || !index) return ERROR_INVALID_PARAMETER;
    INJECTED;
    pthread_mutex_lock(&mutex);
    MIB_IF_ROW2 *link = *luid ? find_link(*luid, 0) : NULL;
    *index = link ? link->InterfaceIndex : 0;
    pthread_mutex_unlock(&mutex);
    return link ? NO_ERROR : ERROR_FILE_NOT_FOUND;
}

DWORD API ConvertInterfaceLuidToGuid(const uint64_t *luid, uint8_t *guid) {
    if (!luid || !guid) return ERROR_INVALID_PARAMETER;
    INJECTED;
    pthread_mutex_lock(&mutex);
    MIB_IF_ROW2 *link = *luid ? find_link(*luid, 0) : NULL;
    memset(guid, 0, 16);
    if (link) memcpy(guid, link->InterfaceGuid, 16);
    pthread_mutex_unlock(&mutex);
    return link ? NO_ERROR : ERROR_FILE_NOT_FOUND;
}

static DWORD copy_string(const WCHAR *from, WCHAR *to, size_t room) {
    size_t length = 0;
    while (from[length]) length++;
    if (length + 1 > room) return ERROR_NOT_ENOUGH_MEMORY;
    memcpy(to, from, (length + 1) * sizeof *to);
    return NO_ERROR;
}

DWORD API ConvertInterfaceLuidToAlias(const uint64_t *luid, WCHAR *alias, size_t room) {
    if (!luid || !alias) return ERROR_INVALID_PARAMETER;
    INJECTED;
    pthread_mutex_lock(&mutex);
    MIB_IF_ROW2 *link = *luid ? find_link(*luid, 0) : NULL;
    DWORD status = link ? copy_string(link->Alias, alias, room) : ERROR_INVALID_PARAMETER;
    pthread_mutex_unlock(&mutex);
    return status;
}

DWORD API ConvertInterfaceLuidToNameW(const uint64_t *luid, WCHAR *name, size_t room) {
    char text[40];
    WCHAR wide[40];
    if (!luid || !name || !*luid) return ERROR_INVALID_PARAMETER;
    INJECTED;
    unsigned type = *luid >> 48, index = *luid >> 24 & 0xFFFFFF;
    if (type == 6)
        snprintf(text, sizeof text, "ethernet_%u", index);
    else
        snprintf(text, sizeof text, "iftype%u_%u", type, index);
    for (size_t i = 0; i < sizeof text; i++) wide[i] = (WCHAR)text[i];
    return copy_string(wide, name, room);
}

/* ---- The tests' controls ----------------------------------------------------------------- */

/* As freshly loaded: nothing registered, listed, queued, injected or counted. */
void API StandinReset(void) {
    pthread_mutex_lock(&mutex);
    while (first_event) {
        Event *next = first_event->next;
        free(first_event);
        first_event = next;
    }
    last_event = &first_event;
    for (int i = 0; i < REGISTRATIONS; i++) registrations[i].active = 0;
    while (seen.running) pthread_cond_wait(&changed, &mutex);
    memset(registrations, 0, sizeof registrations);
    interface_count = link_count = pair_count = 0;
    memset(failures, 0, sizeof failures);
    memset(&seen, 0, sizeof seen);
    while (tables) {
        Memory *next = tables->next;
        free(tables);
        tables = next;
    }
    memset(&mode, 0, sizeof mode);
    mode.threads = 1;
    mode.cancel_timeout_ms = 120000;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&mutex);
}

/* `threads` call back at once; the initial notification comes from the dispatcher or not;
 * `never_confirm` accepts registrations as Wine does, without handle or callback. */
void API StandinMode(int threads, int initial_on_dispatcher, int never_confirm,
                     int cancel_timeout_ms) {
    pthread_mutex_lock(&mutex);
    mode.threads = threads;
    mode.initial_on_dispatcher = initial_on_dispatcher;
    mode.never_confirm = never_confirm;
    mode.cancel_timeout_ms = cancel_timeout_ms;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&mutex);
}

/* The next `times` calls of `function` return `status`. */
void API StandinFail(const char *function, DWORD status, int times) {
    pthread_mutex_lock(&mutex);
    for (size_t i = 0; i < sizeof failures / sizeof *failures; i++)
        if (failures[i].times <= 0) {
            snprintf(failures[i].name, sizeof failures[i].name, "%s", function);
            failures[i].status = status;
            failures[i].times = times;
            break;
        }
    pthread_mutex_unlock(&mutex);
}

/* Adds or replaces the row with the same keys. Returns 0 when the table is full. */
int API StandinPutInterface(const MIB_IPINTERFACE_ROW *row) {
    pthread_mutex_lock(&mutex);
    MIB_IPINTERFACE_ROW *at = find_interface(row->Family, row->InterfaceLuid, 0);
    if (!at && interface_count < INTERFACES) at = &interfaces[interface_count++];
    if (at) *at = *row;
    pthread_mutex_unlock(&mutex);
    return at != NULL;
}

int API StandinPutLink(const MIB_IF_ROW2 *row) {
    pthread_mutex_lock(&mutex);
    MIB_IF_ROW2 *at = find_link(row->InterfaceLuid, 0);
    if (!at && link_count < LINKS) at = &links[link_count++];
    if (at) *at = *row;
    pthread_mutex_unlock(&mutex);
    return at != NULL;
}

int API StandinPutPair(uint32_t higher, uint32_t lower) {
    pthread_mutex_lock(&mutex);
    int room = pair_count < PAIRS;
    if (room) pairs[pair_count++] = (STACK_ROW){higher, lower};
    pthread_mutex_unlock(&mutex);
    return room;
}

/* Removes one family of a link; with AF_UNSPEC the link and both families. */
void API StandinRemove(uint16_t family, uint64_t luid) {
    MIB_IPINTERFACE_ROW *row;
    MIB_IF_ROW2 *link;
    pthread_mutex_lock(&mutex);
    while ((row = find_interface(family, luid, 0))) *row = interfaces[--interface_count];
    if (family == AF_UNSPEC && (link = find_link(luid, 0))) *link = links[--link_count];
    pthread_mutex_unlock(&mutex);
}

/* Queues `count` notifications; the tables stay as they are. */
void API StandinNotify(int type, uint16_t family, uint64_t luid, uint32_t index, uint64_t count) {
    pthread_mutex_lock(&mutex);
    if (count)
        queue_event((Event){.count = count, .type = type, .family = family, .luid = luid,
                            .index = index});
    pthread_mutex_unlock(&mutex);
}

/* Calls back every registration that was canceled: what a system must not do. */
void API StandinNotifyCanceled(int type, uint16_t family, uint64_t luid, uint32_t index) {
    MIB_IPINTERFACE_ROW row = {.Family = family, .InterfaceLuid = luid, .InterfaceIndex = index};
    pthread_mutex_lock(&mutex);
    for (Registration *to = registrations; to < registrations + REGISTRATIONS; to++)
        if (!to->active && to->callback) call(to, &row, type);
    pthread_mutex_unlock(&mutex);
}

/* Holds the dispatchers back, so that a test can fill the queue first. */
void API StandinHold(int hold) {
    pthread_mutex_lock(&mutex);
    mode.hold = hold;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&mutex);
}

/* The next GetIpInterfaceTable delivers what is queued after it has looked, before it returns. */
void API StandinDeliverInListing(void) {
    pthread_mutex_lock(&mutex);
    mode.deliver_in_listing = 1;
    pthread_mutex_unlock(&mutex);
}

/* Waits until everything queued was delivered; 0 when that took too long. */
int API StandinWaitIdle(int timeout_ms) {
    struct timespec deadline = after_ms(timeout_ms);
    int late = 0;
    pthread_mutex_lock(&mutex);
    while ((first_event || seen.running) && !late)
        late = pthread_cond_timedwait(&changed, &mutex, &deadline) == ETIMEDOUT;
    int idle = !first_event && !seen.running;
    pthread_mutex_unlock(&mutex);
    return idle;
}

/* 0 callbacks made, 1 most at once, 2 deadlocks met, 3 tables not freed, 4 wrong frees,
 * 5 registrations. */
uint64_t API StandinCount(int what) {
    uint64_t active = 0;
    pthread_mutex_lock(&mutex);
    for (int i = 0; i < REGISTRATIONS; i++) active += registrations[i].active;
    const uint64_t counts[] = {seen.callbacks, seen.most_running, seen.deadlocks,
                               seen.tables,    seen.bad_frees,    active};
    pthread_mutex_unlock(&mutex);
    return counts[what];
}

/* Programs that put commands together, or run them through functions of their own; built by build.py, never run. */
typedef unsigned long size_t;
typedef __builtin_va_list va_list;
int system(const char *);
int puts(const char *);
int sprintf(char *, const char *, ...);
int snprintf(char *, size_t, const char *, ...);
int vsnprintf(char *, size_t, const char *, va_list);
void *memset(void *, int, size_t);
char *strcpy(char *, const char *);
#define INSIDE __attribute__((noinline, visibility("hidden")))
char shared[256];

int filled(const char *url)
{
    char line[256];
    sprintf(line, "wget -O /tmp/fw.bin %s", url);
    return system(line);
}

int filled_far(const char *url, const char *device)
{
    char line[256], other[64];
    memset(line, 0, sizeof line);
    snprintf(line, sizeof line, "dd if=%s of=%s", url, "/dev/mtdblock4");
    sprintf(other, "not a command %s", device);
    puts(other);
    return system(line) + 1;
}

int filled_shared(const char *url)
{
    sprintf(shared, "tftp -g -r firmware.bin %s", url);
    puts(shared);
    return system(shared) + 1;
}

int other_buffer(const char *url)
{
    char line[64], other[64];
    strcpy(line, url);
    sprintf(other, "wrong %s", url);
    puts(other);
    return system(line) + 1;
}

INSIDE int run(const char *format, ...)
{
    char line[256];
    va_list rest;
    int done;
    __builtin_va_start(rest, format);
    vsnprintf(line, sizeof line, format, rest);
    __builtin_va_end(rest);
    puts(line);
    done = system(line);
    return done >> 8;
}

INSIDE int plainly(const char *line)
{
    puts("running");
    return system(line) != 0;
}

INSIDE int no_command(const char *name)
{
    puts(name);
    return system("sync") != 0;
}

int through(const char *file)
{
    run("mtd write %s firmware", file);
    no_command("eth0");
    return plainly("reboot -f") + 1;
}

/* Programs that verify and write, in the ways there are to do it right and wrong; built by build.py, never run. */
typedef unsigned long size_t;
int system(const char *);
int puts(const char *);
void exit(int) __attribute__((noreturn));
int read(int, void *, size_t);
void free(void *);
int EVP_DigestVerifyFinal(void *, const unsigned char *, size_t);
int RSA_verify(int, const unsigned char *, unsigned, unsigned char *, unsigned, void *);
int mbedtls_pk_verify(void *, int, const unsigned char *, size_t, const unsigned char *, size_t);
#define VERIFY(c, s) EVP_DigestVerifyFinal(c, s, 256)
#define INSIDE __attribute__((noinline, visibility("hidden")))

int good_return(void *c, unsigned char *s)
{
    if (VERIFY(c, s) != 1) {
        puts("bad signature");
        return -1;
    }
    return system("mtd write /tmp/fw good_return");
}

int good_inside(void *c, unsigned char *s)
{
    int done = -1;
    if (VERIFY(c, s) == 1)
        done = system("mtd write /tmp/fw good_inside");
    free(c);
    return done;
}

int good_zero(void *c, unsigned char *s)
{
    int bad = mbedtls_pk_verify(c, 6, s, 32, s + 32, 256);
    free(c);
    if (bad) {
        puts("bad signature");
        goto out;
    }
    system("mtd write /tmp/fw good_zero");
out:
    free(s);
    return bad;
}

int good_again(void *c, unsigned char *s)
{
    int turn;
    for (turn = 0; turn < 3; turn++) {
        read(0, s, 256);
        if (VERIFY(c, s) == 1)
            return system("mtd write /tmp/fw good_again");
    }
    return -1;
}

static INSIDE __attribute__((noreturn)) void leave(const char *why)
{
    puts(why);
    exit(1);
}

int good_exit(void *c, unsigned char *s)
{
    if (VERIFY(c, s) != 1)
        leave("bad signature");
    return system("mtd write /tmp/fw good_exit");
}

INSIDE int checked(void *c, unsigned char *s, int length)
{
    if (length < 256)
        return -2;
    if (VERIFY(c, s) != 1)
        return -1;
    return 0;
}

int good_helper(void *c, unsigned char *s, int length)
{
    if (checked(c, s, length) < 0)
        return 1;
    return system("mtd write /tmp/fw good_helper");
}

INSIDE int plain(void *c, unsigned char *s)
{
    return VERIFY(c, s) == 1;
}

int good_plain(void *c, unsigned char *s)
{
    if (!plain(c, s))
        return -1;
    return system("mtd write /tmp/fw good_plain");
}

INSIDE int burn(const char *why)
{
    puts(why);
    return system("mtd write /tmp/fw good_below");
}

int good_below(void *c, unsigned char *s)
{
    if (VERIFY(c, s) != 1)
        return -1;
    return burn("now") + 1;
}

INSIDE int second(void *c, unsigned char *s, int length)
{
    if (checked(c, s, length) != 0) {
        puts("no");
        return 7;
    }
    puts("yes");
    return 0;
}

INSIDE int burn_it(const char *);

INSIDE int flash(const char *why)
{
    return burn_it(why) + 1;
}

INSIDE int burn_it(const char *why)
{
    puts(why);
    return system("mtd write /tmp/fw good_chain");
}

int good_chain(void *c, unsigned char *s, int length)
{
    if (second(c, s, length))
        return -1;
    return flash("now") + 1;
}

/* ------------------------------------------------------------------ none of these may be called verified */

int bad_forced(void *c, unsigned char *s, int forced)
{
    if (!forced && VERIFY(c, s) != 1)
        return -1;
    return system("mtd write /tmp/fw bad_forced");
}

int bad_ignored(unsigned char *digest, unsigned char *s, void *key)
{
    RSA_verify(672, digest, 32, s, 256, key);
    return system("mtd write /tmp/fw bad_ignored");
}

int bad_said(void *c, unsigned char *s)
{
    if (VERIFY(c, s) != 1)
        puts("bad signature");
    return system("mtd write /tmp/fw bad_said");
}

int bad_behind(void *c, unsigned char *s)
{
    system("mtd write /tmp/fw bad_behind");
    if (VERIFY(c, s) != 1)
        return -1;
    return 0;
}

INSIDE int lax(void *c, unsigned char *s)
{
    if (!s)
        return 0;
    if (VERIFY(c, s) != 1)
        return -1;
    return 0;
}

int bad_lax(void *c, unsigned char *s)
{
    if (lax(c, s))
        return -1;
    return system("mtd write /tmp/fw bad_lax");
}

int bad_compared(void *c, unsigned char *s, int length)
{
    if (checked(c, s, length) == -1)
        return 1;
    return system("mtd write /tmp/fw bad_compared");
}

INSIDE int both(const char *why)
{
    puts(why);
    return system("mtd write /tmp/fw bad_both");
}

int bad_both(void *c, unsigned char *s)
{
    if (VERIFY(c, s) != 1)
        return -1;
    return both("now") + 1;
}

int bad_both_too(void)
{
    return both("anyway") + 1;
}

INSIDE int pointed(const char *why)
{
    puts(why);
    return system("mtd write /tmp/fw bad_pointed");
}

int (*volatile handler)(const char *) = pointed;

int bad_pointed(void *c, unsigned char *s)
{
    if (VERIFY(c, s) != 1)
        return -1;
    return pointed("now") + 1;
}

int bad_other(void *c, unsigned char *s, int length)
{
    int good = VERIFY(c, s);
    if (length < 9)
        return good;
    return system("mtd write /tmp/fw bad_other");
}

int bad_tired(void *c, unsigned char *s)
{
    int turn;
    for (turn = 0; turn < 3; turn++) {
        read(0, s, 256);
        if (VERIFY(c, s) == 1)
            break;
        puts("once more");
    }
    return system("mtd write /tmp/fw bad_tired");
}

int bad_reset(void *c, unsigned char *s)
{
    int bad = 0, turn = 0;
    while (turn++ < 4) {
        bad = VERIFY(c, s + turn) != 1;
        if (read(0, s, 9) < 0)
            bad = 0;
        if (!bad)
            break;
    }
    if (bad)
        return -1;
    return system("mtd write /tmp/fw bad_reset");
}

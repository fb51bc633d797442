/* A program that calls what fwcheck looks for; built for many processors by build.py, never run. */
typedef unsigned long size_t;
int system(const char *);
void *popen(const char *, const char *);
int strcmp(const char *, const char *);
int strncmp(const char *, const char *, size_t);
int ioctl(int, unsigned long, ...);
int setenv(const char *, const char *, int);
int execl(const char *, const char *, ...);
char *crypt(const char *, const char *);
int open(const char *, int, ...);
int read(int, void *, size_t);
int curl_easy_setopt(void *, int, ...);
void SSL_CTX_set_verify(void *, int, void *);
int EVP_DigestVerifyFinal(void *, const unsigned char *, size_t);
int EVP_PKEY_verify(void *, const unsigned char *, size_t, const void *, size_t);
int RSA_verify(int, const unsigned char *, unsigned, unsigned char *, unsigned, void *);
int doSystemCmd(const char *, ...);

int login(const char *user, const char *password)
{
    if (!strcmp(user, "service") && !strcmp(password, "Let-me-1n"))
        return 1;
    if (!strncmp(user, "Open7Sesame", 11)) {
        system("telnetd -l /bin/sh &");
        return 2;
    }
    return !strcmp(crypt(password, "$1$salt$"), "$1$salt$2oAUOUYQqb2iTCcRDbHAT1");
}

int devices(char *data, const char *name)
{
    int handle = open("/dev/mtd0", 2);
    ioctl(handle, 0x40084d02, data);
    setenv("PATH", "/bin:/sbin", 1);
    doSystemCmd("ifconfig %s up", name);
    popen("cat /proc/mtd", "r");
    return execl("/bin/sh", "sh", "-c", "reboot", (char *)0);
}

void transport(void *curl, void *context, int strict)
{
    curl_easy_setopt(curl, 64, 0L);
    curl_easy_setopt(curl, 81, strict);
    curl_easy_setopt(curl, 10002, "http://updates.example/firmware.bin");
    SSL_CTX_set_verify(context, 0, 0);
    SSL_CTX_set_verify(context, strict ? 3 : 0, 0);
}

int verified(void *context, const unsigned char *signature)
{
    if (EVP_DigestVerifyFinal(context, signature, 256) != 1)
        return -1;
    return system("mtd write /tmp/fw firmware");
}

int kept_aside(void *context, const unsigned char *signature, void *key)
{
    int good = EVP_PKEY_verify(context, signature, 256, key, 32);
    SSL_CTX_set_verify(key, 1, 0);
    if (good > 0)
        return system("mtd write /tmp/fw second");
    return 0;
}

int unverified(const unsigned char *digest, unsigned char *signature, void *key)
{
    RSA_verify(672, digest, 32, signature, 256, key);
    return system("mtd write /tmp/fw kernel");
}

int loop(const char *choice, int number)
{
    char text[64];
    while (read(0, text, sizeof text) > 0) {
        system(number > 3 ? "one" : "two");
        system(text);
        system("again");
    }
    return system(choice);
}

/* An updater that verifies what it fetched; built by build.py, never run. */
int system(const char *);
int EVP_DigestVerifyFinal(void *, const unsigned char *, unsigned long);
int read(int, void *, unsigned long);

static unsigned char signature[256];

__attribute__((noinline, visibility("hidden"))) int genuine(void *context)
{
    if (read(3, signature, sizeof signature) != sizeof signature)
        return -2;
    return EVP_DigestVerifyFinal(context, signature, sizeof signature) == 1 ? 0 : -1;
}

int update(void *context)
{
    if (system("wget -O /tmp/fw.bin https://fw.example.net/firmware.bin"))
        return 1;
    if (genuine(context) < 0)
        return 2;
    system("mtd write /tmp/fw.bin firmware");
    return system("reboot");
}

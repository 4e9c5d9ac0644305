/* Wine 8 has no bcryptprimitives.dll; this is the one function of it that anybody imports. */
#include <windows.h>
#include <ntsecapi.h>

__declspec(dllexport) BOOL WINAPI ProcessPrng(BYTE *data, SIZE_T size) {
    return RtlGenRandom(data, (ULONG)size);
}

/* python.exe in a few lines: python311.dll, which lies beside it, does everything. */
#include <windows.h>

typedef int (*Main)(int, wchar_t **);

int wmain(int argc, wchar_t **argv) {
    HMODULE python = LoadLibraryW(L"python311.dll");
    Main py_main = python ? (Main)(void *)GetProcAddress(python, "Py_Main") : NULL;
    return py_main ? py_main(argc, argv) : 127;
}

// What operating systems do in different ways, a function each: os_linux.cpp and os_macos.cpp have
// the two implementations. What the machine is and has left is told apart in the same way
// (system_linux.cpp, machine_linux.cpp and their twins). What a function cannot do on a system it
// says in the way that Linux does where a file system cannot.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>

namespace pajamas::os {

// Of names. 0, or an error number: EEXIST where `to` is there, EINVAL or ENOSYS where the file
// system cannot rename so.
int rename_to_nothing(const char* from, const char* to) noexcept;
int exchange_names(const char* from, const char* to) noexcept;

// Of file descriptors.

// Opens a file that is there; its transfers pass the page cache by. -1: that is refused.
int open_direct(const char* path, int flags) noexcept;
// Switches between passing it by and not; false where that is refused.
bool set_direct(int fd, bool direct) noexcept;
// A file in this folder that has no name: -1 and errno, EOPNOTSUPP where there are none.
int open_unnamed(const char* folder) noexcept;
// A file in memory without a name, to be read and written: -1 and errno.
int open_in_memory(const char* name) noexcept;
// Gives a file this size, and the space for it. 0, or an error number.
int reserve(int fd, std::uint64_t bytes) noexcept;
// Starts to read these bytes into the page cache. A hint.
void start_reading(int fd, std::uint64_t offset, std::uint64_t length) noexcept;
// Starts to write what was written from `offset` on to the disk. A hint.
void start_writing(int fd, std::uint64_t offset) noexcept;
// Takes a file's pages, which have been written, out of the page cache. A hint.
void leave_cache(int fd) noexcept;
// Until all of a file, or what it takes to read it again, is on the disk. 0, or -1 and errno.
int sync(int fd) noexcept;
int sync_contents(int fd) noexcept;
// Whether the page cache has this byte, without reading it from the disk. False where nobody tells.
bool has_cached_byte(int fd, std::uint64_t offset) noexcept;
// Whether this process may write to the file, whatever it was opened for.
bool may_write(int fd) noexcept;

// Of memory. For each page of a mapping whether it is in memory now, in bit 0; false where nobody
// tells. `pages` has a byte for each page.
bool pages_in_memory(const void* address, std::size_t length,
                     std::span<unsigned char> pages) noexcept;

// Of processes. These are closed by exec; 0, or -1 and errno.
int make_pipe(int ends[2], bool blocking) noexcept;
int make_socket_pair(int ends[2]) noexcept;
// What follows is for a child between fork and exec.

// Has exec close all descriptors from this one on.
void close_at_exec(int first) noexcept;
// Has the system end this process with its parent; true where the system cannot, too.
bool end_with_parent() noexcept;
// Becomes another user for good, as root may.
bool become_user(unsigned user) noexcept;
// Runs a program that is looked for in PATH; returns where that fails.
void execute(char* const* arguments, char* const* environment) noexcept;

// This process's own environment, for `execute`.
char** environment() noexcept;
// The running program's own file; empty where the system does not say.
std::filesystem::path program_file();

}  // namespace pajamas::os

//! What glibc's allocator does with large blocks.
//!
//! glibc takes a large block from the kernel and gives it back when it is freed; but each such return
//! raises the size from which it does so, up to 32 MiB. From then on values of some megabytes lie in
//! the heaps of the threads that asked for them, and what is freed there stays: with 200 rows of 5 MiB
//! a load kept 630 MiB resident of which it used 240. A threshold that is set stays where it is.

/// Blocks of so many bytes always go back to the kernel. Below, blocks are used over and over by the
/// batches of ordinary rows, and a dump of these would pay for fresh pages with every one.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const THRESHOLD: i32 = 4 << 20;

/// What is free at the end of a heap goes back to the kernel from so many bytes on. glibc would raise its
/// 128 KiB together with the other threshold; set as that is, they would stay, and each block of a
/// megabyte come back with fresh pages (a capture took a third longer).
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const TRIM: i32 = 16 << 20;

/// Has blocks of 4 MiB and more returned when they are freed; to be called before threads begin.
///
/// `MALLOC_MMAP_THRESHOLD_` and `MALLOC_TRIM_THRESHOLD_` in the environment go before it. Other C
/// libraries are left alone.
pub fn return_large_blocks() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    for (variable, parameter, value) in [
        ("MALLOC_MMAP_THRESHOLD_", libc::M_MMAP_THRESHOLD, THRESHOLD),
        ("MALLOC_TRIM_THRESHOLD_", libc::M_TRIM_THRESHOLD, TRIM),
    ] {
        if std::env::var_os(variable).is_some() {
            continue;
        }
        // SAFETY: mallopt takes two integers by value, and no other thread is there yet to call it.
        // What it returns says only whether it took the value; without it all works, in more memory.
        #[expect(unsafe_code, reason = "no crate wraps mallopt")]
        unsafe {
            libc::mallopt(parameter, value);
        }
    }
}

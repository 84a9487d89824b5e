//! What the process gives up before it reads its first byte.
//!
//! Codecs parse what strangers send. So this process has no secrets, one file descriptor, no
//! capability, no way to gain one, a bounded memory, and a short list of system calls: it can
//! compute, allocate, run threads, and speak over its socket. It ends with its parent.
#![allow(
    unsafe_code,
    reason = "one call that closes every descriptor has no safe form"
)]

use std::collections::BTreeMap;
use std::io;

use rustix::process::{
    DumpableBehavior, Resource, Rlimit, Signal, getrlimit, set_dumpable_behavior,
    set_parent_process_death_signal, setrlimit,
};
use rustix::thread::{CapabilitySet, CapabilitySets};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch,
};

use crate::limits::CPU_SECONDS;

/// What cannot be done without which nothing hostile may be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SandboxError {
    /// The system refuses a limit.
    #[error("cannot {what}: {source}")]
    System {
        /// What was meant.
        what: &'static str,
        /// The reason.
        source: io::Error,
    },
    /// The filter of system calls.
    #[error("cannot filter system calls: {0}")]
    Filter(String),
}

/// Gives up everything but standard input, which is the socket.
pub(crate) fn enter(memory_bytes: u64, niceness: i32) -> Result<(), SandboxError> {
    let system = |what| {
        move |source: rustix::io::Errno| SandboxError::System {
            what,
            source: source.into(),
        }
    };
    set_parent_process_death_signal(Some(Signal::KILL)).map_err(system("end with the parent"))?;
    close_others();
    // A process that may not lower its own priority further has one low enough.
    let _ = rustix::process::nice(niceness);
    limit(Resource::Core, 0).map_err(system("forbid core dumps"))?;
    limit(Resource::Fsize, 0).map_err(system("forbid files"))?;
    limit(Resource::Nofile, 1).map_err(system("limit descriptors"))?;
    limit(Resource::As, memory_bytes).map_err(system("limit memory"))?;
    renew_cpu();
    set_dumpable_behavior(DumpableBehavior::NotDumpable).map_err(system("hide from tracers"))?;
    drop_capabilities().map_err(system("drop capabilities"))?;
    rustix::thread::set_no_new_privs(true).map_err(system("give up privileges"))?;
    filter_calls()
}

/// Grants processor time until the next ping. A process that spins does not ask for more.
pub(crate) fn renew_cpu() {
    let used = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime).tv_sec;
    let used = u64::try_from(used).unwrap_or(0);
    let maximum = getrlimit(Resource::Cpu).maximum;
    let current = Some(used.saturating_add(CPU_SECONDS));
    // The soft limit is ours to move; below a hard one of the operator's it cannot go wrong.
    let current = maximum.map_or(current, |maximum| current.map(|soft| soft.min(maximum)));
    let _ = setrlimit(Resource::Cpu, Rlimit { current, maximum });
}

/// Both limits, so that it cannot be raised again.
fn limit(resource: Resource, value: u64) -> rustix::io::Result<()> {
    let lower = |old: Option<u64>| Some(old.map_or(value, |old| old.min(value)));
    let maximum = lower(getrlimit(resource).maximum);
    setrlimit(
        resource,
        Rlimit {
            current: maximum,
            maximum,
        },
    )
}

/// Closes what was inherited by mistake, standard output and error with it.
fn close_others() {
    // SAFETY: nothing in this process has opened or uses a descriptor but standard input yet, and
    // Rust's standard streams take a closed descriptor for an empty one.
    let _ = unsafe { libc::close_range(1, u32::MAX, 0) };
}

fn drop_capabilities() -> rustix::io::Result<()> {
    for capability in CapabilitySet::all().iter() {
        // Only one who has `CAP_SETPCAP` may, and only one who has it needs to; kernels that know
        // fewer capabilities say that one does not exist.
        let _ = rustix::thread::remove_capability_from_bounding_set(capability);
    }
    let _ = rustix::thread::clear_ambient_capability_set();
    let none = CapabilitySet::empty();
    let sets = CapabilitySets {
        effective: none,
        permitted: none,
        inheritable: none,
    };
    rustix::thread::set_capabilities(None, sets)
}

/// What a process that computes needs. No file, no socket, no process, no tracing.
const CALLS: &[libc::c_long] = &[
    libc::SYS_brk,
    libc::SYS_clock_getres,
    libc::SYS_clock_gettime,
    libc::SYS_clock_nanosleep,
    libc::SYS_clone3,
    libc::SYS_close,
    libc::SYS_exit,
    libc::SYS_exit_group,
    libc::SYS_fstat,
    libc::SYS_futex,
    libc::SYS_getpid,
    libc::SYS_getrandom,
    libc::SYS_getrusage,
    libc::SYS_gettid,
    libc::SYS_gettimeofday,
    libc::SYS_lseek,
    libc::SYS_madvise,
    libc::SYS_mmap,
    libc::SYS_mremap,
    libc::SYS_mprotect,
    libc::SYS_munmap,
    libc::SYS_nanosleep,
    libc::SYS_ppoll,
    libc::SYS_prctl,
    libc::SYS_prlimit64,
    libc::SYS_read,
    libc::SYS_readv,
    libc::SYS_recvfrom,
    libc::SYS_restart_syscall,
    libc::SYS_rseq,
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_sched_getaffinity,
    libc::SYS_sched_yield,
    libc::SYS_sendto,
    libc::SYS_set_robust_list,
    libc::SYS_sigaltstack,
    libc::SYS_sysinfo,
    libc::SYS_tgkill,
    libc::SYS_write,
    libc::SYS_writev,
];

/// Calls that are answered as an old kernel would: the library then uses one that can be looked at.
const UNKNOWN: &[libc::c_long] = &[libc::SYS_clone3];

fn filter_calls() -> Result<(), SandboxError> {
    let unknown = UNKNOWN.iter().map(|call| (*call, Vec::new())).collect();
    let absent = SeccompAction::Errno(libc::ENOSYS.cast_unsigned());
    install(unknown, SeccompAction::Allow, absent)?;
    // This one last: it allows no further filters.
    let mut allowed: BTreeMap<i64, Vec<SeccompRule>> =
        CALLS.iter().map(|call| (*call, Vec::new())).collect();
    allowed.insert(libc::SYS_clone, vec![threads_only().map_err(filter)?]);
    let denied = SeccompAction::Errno(libc::EPERM.cast_unsigned());
    install(allowed, denied, SeccompAction::Allow)
}

/// Threads of this process, and no other process.
fn threads_only() -> Result<SeccompRule, seccompiler::BackendError> {
    let thread = u64::from(libc::CLONE_THREAD.cast_unsigned());
    let flags = SeccompCondition::new(
        0,
        SeccompCmpArgLen::Qword,
        SeccompCmpOp::MaskedEq(thread),
        thread,
    )?;
    SeccompRule::new(vec![flags])
}

fn install(
    rules: BTreeMap<i64, Vec<SeccompRule>>,
    otherwise: SeccompAction,
    matching: SeccompAction,
) -> Result<(), SandboxError> {
    let architecture = TargetArch::try_from(std::env::consts::ARCH).map_err(filter)?;
    let made = SeccompFilter::new(rules, otherwise, matching, architecture).map_err(filter)?;
    let program: BpfProgram = made.try_into().map_err(filter)?;
    seccompiler::apply_filter(&program).map_err(filter)
}

fn filter(error: impl std::fmt::Display) -> SandboxError {
    SandboxError::Filter(error.to_string())
}

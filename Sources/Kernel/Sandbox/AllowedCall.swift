// The system calls of a running rsock: those of the loops, and those that glibc and the Swift
// runtime make on their own. Found with strace(1), and by reading for what happens rarely.
//
// Who adds a system call to the loops adds it here, or the process dies of it.

import CLinux
import Glibc

/// A system call that is allowed, always or with some arguments only.
package struct AllowedCall: Sendable {
  /// Its number on this architecture (`SYS_*`).
  package let number: Int32
  /// What its arguments may be, one way or another; empty where they do not matter.
  let ways: [[ArgumentTest]]

  private init(_ number: Int32, ways: [[ArgumentTest]]) {
    self.number = number
    self.ways = ways
  }

  private init(_ number: Int32, _ ways: [ArgumentTest]...) { self.init(number, ways: ways) }
}

/// What one argument has to be. Its low half is looked at: the kernel takes an `int` for each that
/// is tested, or a word whose flags all lie there.
struct ArgumentTest: Sendable {
  let index: Int
  let mask: UInt32
  let value: UInt32

  /// The argument is `value`, whatever its bits outside of `mask` are.
  static func argument(
    _ index: Int, is value: some BinaryInteger, mask: UInt32 = .max
  ) -> ArgumentTest {
    ArgumentTest(index: index, mask: mask, value: UInt32(truncatingIfNeeded: value))
  }
}

extension AllowedCall {
  /// All that are allowed. `usesSyslog` says whether syslog(3) may have to connect anew, `showsDecoy`
  /// whether TCP connections are taken over and passed on.
  package static func all(usesSyslog: Bool, showsDecoy: Bool = false) -> [AllowedCall] {
    packets + sockets + [opening(usesSyslog ? inet + syslog : inet)] + files + memory + runtime
      + options(showsDecoy: showsDecoy) + (showsDecoy ? streams : []) + aborting(getpid())
  }

  /// What moves packets, and the waits between. First, for kernels that run the filter each time.
  private static let packets: [AllowedCall] =
    [
      AllowedCall(SYS_recvmmsg), AllowedCall(SYS_sendmmsg), AllowedCall(SYS_epoll_pwait2),
      // Where the clock cannot be read without a call.
      AllowedCall(SYS_clock_gettime),
      // Datagrams that the kernel does not cut; a device's queue that is full.
      AllowedCall(SYS_sendmsg),
    ] + waits

  // Kernels before 5.11 have no epoll_pwait2. arm64 never had the older calls.
  #if arch(x86_64)
    private static let waits = [AllowedCall(SYS_epoll_wait), AllowedCall(SYS_poll)]
  #else
    private static let waits = [AllowedCall(SYS_epoll_pwait), AllowedCall(SYS_ppoll)]
  #endif

  /// Flows, guards, netlink. Options are told one by one: among those of sockets are large and
  /// little used parts of the kernel, which CAP_NET_ADMIN opens.
  private static let sockets: [AllowedCall] = [
    AllowedCall(SYS_sendto), AllowedCall(SYS_recvmsg),  // netlink; sendto for syslog(3) too
    AllowedCall(SYS_connect), AllowedCall(SYS_bind), AllowedCall(SYS_listen),
    AllowedCall(SYS_getsockname), AllowedCall(SYS_epoll_ctl),
    AllowedCall(SYS_accept4),  // who connects to the control socket
  ]

  /// What moves a decoy's bytes, and ends its connections.
  private static let streams = [AllowedCall(SYS_recvfrom), AllowedCall(SYS_shutdown)]

  private static func options(showsDecoy: Bool) -> [AllowedCall] {
    let tcp = Int32(IPPROTO_TCP)
    let set =
      [
        SO_RCVBUFFORCE, SO_RCVBUF, SO_SNDBUFFORCE, SO_SNDBUF, SO_REUSEADDR, SO_ATTACH_FILTER,
      ].map { option(SOL_SOCKET, $0) } + [
        option(tcp, TCP_MD5SIG_EXT), option(SOL_UDP, UDP_GRO),
        option(Int32(IPPROTO_IPV6), IPV6_V6ONLY),
        // A client's channels on UDP.
        option(SOL_SOCKET, SO_BINDTOIFINDEX), option(SOL_SOCKET, SO_MARK),
        option(Int32(IPPROTO_IP), IP_PKTINFO),
        option(Int32(IPPROTO_IP), IP_MTU_DISCOVER),
        option(Int32(IPPROTO_IPV6), IPV6_RECVPKTINFO),
        option(Int32(IPPROTO_IPV6), IPV6_MTU_DISCOVER),
        option(Int32(IPPROTO_IPV6), IPV6_DONTFRAG),
      ]
    let get = [
      option(SOL_SOCKET, SO_RCVBUF), option(SOL_SOCKET, SO_SNDBUF),
      option(SOL_PACKET, PACKET_STATISTICS), option(SOL_SOCKET, SO_PEERCRED),
    ]
    // isatty(3): syslog(3) prints to standard error too, and glibc asks before it writes there.
    let control: [[ArgumentTest]] = [[.argument(1, is: TCGETS)], [.argument(1, is: rs_tcgets2)]]
    let ofStreams =
      [
        TCP_REPAIR, TCP_REPAIR_QUEUE, TCP_QUEUE_SEQ, TCP_REPAIR_OPTIONS, TCP_REPAIR_WINDOW,
        TCP_MAXSEG, TCP_NODELAY,
      ].map { option(tcp, $0) } + [SO_LINGER].map { option(SOL_SOCKET, $0) }
    return [
      AllowedCall(SYS_setsockopt, ways: showsDecoy ? set + ofStreams : set),
      AllowedCall(SYS_getsockopt, ways: showsDecoy ? get + [option(tcp, TCP_INFO)] : get),
      AllowedCall(
        SYS_ioctl, ways: showsDecoy ? control + [[.argument(1, is: TIOCOUTQ)]] : control),
    ]
  }

  private static func option(_ level: Int32, _ name: Int32) -> [ArgumentTest] {
    [.argument(1, is: level), .argument(2, is: name)]
  }

  /// socket(2) for these families and types. Netlink, packet and raw sockets are open by now.
  private static func opening(_ kinds: [(family: Int32, type: __socket_type)]) -> AllowedCall {
    let flags = SOCK_NONBLOCK.rawValue | SOCK_CLOEXEC.rawValue
    return AllowedCall(
      SYS_socket,
      ways: kinds.map {
        [
          .argument(0, is: $0.family), .argument(1, is: $0.type.rawValue, mask: ~flags),
          .argument(2, is: 0),
        ]
      })
  }

  private static let inet = [
    (family: AF_INET, type: SOCK_DGRAM), (AF_INET, SOCK_STREAM), (AF_INET6, SOCK_DGRAM),
    (AF_INET6, SOCK_STREAM),
  ]
  private static let syslog = [(family: AF_UNIX, type: SOCK_DGRAM), (AF_UNIX, SOCK_STREAM)]

  /// Signals, the log and its reopening, the time zone, the pid file's end. Which files is for
  /// Landlock to say.
  private static let files: [AllowedCall] = [
    AllowedCall(SYS_read), AllowedCall(SYS_write), AllowedCall(SYS_writev), AllowedCall(SYS_close),
    AllowedCall(SYS_openat), AllowedCall(SYS_dup3), AllowedCall(SYS_unlinkat),
    AllowedCall(SYS_fstat), AllowedCall(SYS_newfstatat), AllowedCall(SYS_lseek),
  ]

  /// malloc(3). No memory becomes code.
  private static let memory: [AllowedCall] = [
    AllowedCall(SYS_brk), AllowedCall(SYS_munmap), AllowedCall(SYS_mremap),
    AllowedCall(SYS_madvise),
    AllowedCall(SYS_mmap, [.argument(2, is: 0, mask: UInt32(PROT_EXEC))]),
    AllowedCall(SYS_mprotect, [.argument(2, is: 0, mask: UInt32(PROT_EXEC))]),
  ]

  /// Locks, identities, random numbers, time without a vDSO.
  private static let runtime: [AllowedCall] =
    [
      AllowedCall(SYS_futex), AllowedCall(SYS_sched_yield), AllowedCall(SYS_getrandom),
      AllowedCall(SYS_getpid), AllowedCall(SYS_gettid), AllowedCall(SYS_geteuid),
      AllowedCall(SYS_gettimeofday), AllowedCall(SYS_exit_group), AllowedCall(SYS_exit),
      // A wait that SIGSTOP and SIGCONT interrupted.
      AllowedCall(SYS_restart_syscall),
      // How much stack there is, for memory that Swift puts there if it fits.
      AllowedCall(SYS_sched_getaffinity),
      AllowedCall(SYS_prlimit64, [.argument(0, is: 0), .argument(1, is: RLIMIT_STACK.rawValue)]),
      // Asked for messages about missing capabilities; names of malloc(3)'s memory, by a tunable.
      AllowedCall(
        SYS_prctl, [.argument(0, is: PR_GET_NO_NEW_PRIVS)], [.argument(0, is: PR_SET_VMA)]),
    ] + seconds

  #if arch(x86_64)
    private static let seconds = [AllowedCall(SYS_time)]
  #else
    private static let seconds: [AllowedCall] = []
  #endif

  /// abort(3), so that a fatal error ends with SIGABRT and its message.
  private static func aborting(_ process: pid_t) -> [AllowedCall] {
    [
      AllowedCall(SYS_rt_sigaction), AllowedCall(SYS_rt_sigprocmask),
      AllowedCall(SYS_rt_sigreturn),
      AllowedCall(SYS_tgkill, [.argument(0, is: process), .argument(2, is: SIGABRT)]),
    ]
  }
}

// The system call filter, by the interpreter: which calls it lets through, with which arguments.

import CLinux
import Glibc
import Kernel
import Testing

@Suite struct SystemCallFilterTests {
  private static let allowed = AllowedCall.all(usesSyslog: false)
  private static let filters = [
    false: Result { try SystemCallFilter(allowed) },
    true: Result { try SystemCallFilter(AllowedCall.all(usesSyslog: true)) },
  ]

  /// What the filter says of a call. The interpreter reads words as a packet has them, most
  /// significant byte first; the kernel gives seccomp's in the processor's own order.
  private static func verdict(
    _ number: UInt32, _ arguments: [UInt64] = [], architecture: UInt32 = rs_audit_architecture,
    usesSyslog: Bool = false, of other: SystemCallFilter? = nil
  ) throws -> FilterResult {
    let padding = [UInt64](repeating: 0, count: 6 - arguments.count)
    let halves = (arguments + padding).flatMap {
      [UInt32(truncatingIfNeeded: $0), UInt32($0 >> 32)]
    }
    let words = [number, architecture, 0, 0] + halves
    let bytes = words.flatMap { word in (0..<4).map { UInt8(word >> (24 - 8 * $0) & 0xFF) } }
    let filter = try other ?? #require(filters[usesSyslog]).get()
    return interpret(
      filter.instructions, FilteredPacket(bytes: bytes, networkOffset: 0, linear: bytes.count))
  }

  private static func allows(
    _ number: Int32, _ arguments: [some BinaryInteger], usesSyslog: Bool = false
  ) throws -> Bool {
    let arguments = arguments.map { UInt64(truncatingIfNeeded: $0) }
    return try verdict(UInt32(number), arguments, usesSyslog: usesSyslog)
      == .accepted(SECCOMP_RET_ALLOW)
  }

  private static let looksAtArguments = [
    SYS_socket, SYS_setsockopt, SYS_getsockopt, SYS_prctl, SYS_ioctl, SYS_tgkill, SYS_prlimit64,
  ]

  @Test("Of all numbers those in the table pass, here and in no other architecture")
  func numbers() throws {
    let kill = FilterResult.accepted(SECCOMP_RET_KILL_PROCESS)
    let free = Set(Self.allowed.map(\.number)).subtracting(Self.looksAtArguments)
    #expect(free.count == Self.allowed.count - Self.looksAtArguments.count)
    for number in UInt32(0)..<600 {
      let isFree = free.contains(Int32(number))
      let expected = isFree ? .accepted(SECCOMP_RET_ALLOW) : kill
      #expect(try Self.verdict(number) == expected, "\(number)")
      // x32, i386 and an architecture that there is not.
      #expect(try Self.verdict(0x4000_0000 | number) == kill)
      #expect(try Self.verdict(number, architecture: 0x4000_0003) == kill)
      #expect(try Self.verdict(number, architecture: 0) == kill)
    }
    #expect(try Self.verdict(.max) == kill)
  }

  @Test("Sockets: UDP and TCP, and for syslog of this host", arguments: [false, true])
  func sockets(usesSyslog: Bool) throws {
    var opened: [[Int]] = []
    for family in 0..<46 {
      for type in 0..<16 {
        for number in [0, 1, 2, 6, 17, 132, 255, 262] {
          let arguments = [family, type, number]
          if try Self.allows(SYS_socket, arguments, usesSyslog: usesSyslog) {
            opened.append(arguments)
          }
        }
      }
    }
    let local = [[Int(AF_UNIX), 1, 0], [Int(AF_UNIX), 2, 0]]
    let inet = [AF_INET, AF_INET6].flatMap { [[Int($0), 1, 0], [Int($0), 2, 0]] }
    #expect(opened == (usesSyslog ? local : []) + inet)
    let flags = Int(SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue)
    #expect(try Self.allows(SYS_socket, [Int(AF_INET), 2 | flags, 0]))
    #expect(try !Self.allows(SYS_socket, [Int(AF_INET), 2 | flags | 0x100, 0]))
    // The kernel takes an int: what is above it does not count.
    #expect(try Self.allows(SYS_socket, [1 << 32 | Int(AF_INET), 2, 0]))
  }

  @Test("Memory never becomes code", arguments: [SYS_mmap, SYS_mprotect])
  func memory(number: Int32) throws {
    for protection in 0..<32 {
      let isCode = Int32(protection) & PROT_EXEC != 0
      #expect(try Self.allows(number, [0, 4096, protection]) == !isCode, "\(protection)")
    }
  }

  @Test("Of the options of sockets only those in use")
  func options() throws {
    var set: Set<[Int32]> = []
    var got: Set<[Int32]> = []
    for level in Int32(0)..<300 {
      for name in Int32(0)..<128 {
        if try Self.allows(SYS_setsockopt, [0, level, name]) { set.insert([level, name]) }
        if try Self.allows(SYS_getsockopt, [0, level, name]) { got.insert([level, name]) }
      }
    }
    let buffers = [SO_RCVBUF, SO_SNDBUF].map { [SOL_SOCKET, $0] }
    let others = [SO_RCVBUFFORCE, SO_SNDBUFFORCE, SO_REUSEADDR, SO_ATTACH_FILTER].map {
      [SOL_SOCKET, $0]
    }
    let carriers = [
      [SOL_SOCKET, SO_MARK], [SOL_SOCKET, SO_BINDTOIFINDEX], [Int32(IPPROTO_IP), IP_PKTINFO],
      [Int32(IPPROTO_IP), IP_MTU_DISCOVER], [Int32(IPPROTO_IPV6), IPV6_RECVPKTINFO],
      [Int32(IPPROTO_IPV6), IPV6_MTU_DISCOVER], [Int32(IPPROTO_IPV6), IPV6_DONTFRAG],
    ]
    let protocols = [
      [SOL_UDP, UDP_GRO], [Int32(IPPROTO_TCP), TCP_MD5SIG_EXT], [Int32(IPPROTO_IPV6), IPV6_V6ONLY],
    ]
    #expect(set == Set(buffers + others + carriers + protocols))
    #expect(
      got == Set(buffers + [[SOL_PACKET, PACKET_STATISTICS], [SOL_SOCKET, SO_PEERCRED]]))
  }

  @Test("A decoy adds what takes over connections and passes on their bytes")
  func decoy() throws {
    let filter = try SystemCallFilter(AllowedCall.all(usesSyslog: false, showsDecoy: true))
    let more = { (number: Int32, arguments: [Int32]) in
      let words = arguments.map { UInt64(truncatingIfNeeded: $0) }
      return try Self.verdict(UInt32(number), words, of: filter) == .accepted(SECCOMP_RET_ALLOW)
        && !Self.allows(number, arguments)
    }
    #expect(try more(SYS_recvfrom, []) && more(SYS_shutdown, []))
    let tcp = Int32(IPPROTO_TCP)
    let options = try (Int32(0)..<128).filter { try more(SYS_setsockopt, [0, tcp, $0]) }
    let repair = [
      TCP_REPAIR, TCP_REPAIR_QUEUE, TCP_QUEUE_SEQ, TCP_REPAIR_OPTIONS, TCP_REPAIR_WINDOW,
    ]
    #expect(Set(options) == Set(repair + [TCP_MAXSEG, TCP_NODELAY]))
    #expect(
      try (Int32(0)..<128).filter { try more(SYS_setsockopt, [0, SOL_SOCKET, $0]) }
        == [SO_LINGER])
    #expect(try (Int32(0)..<128).filter { try more(SYS_getsockopt, [0, tcp, $0]) } == [TCP_INFO])
    #expect(
      try (Int32(0x5400)..<0x5480).filter { try more(SYS_ioctl, [0, $0]) } == [TIOCOUTQ])
  }

  @Test("SIGABRT for itself, the limit of its stack, and two of prctl's options")
  func others() throws {
    let own = Int(getpid())
    #expect(try Self.allows(SYS_tgkill, [own, own, Int(SIGABRT)]))
    #expect(try !Self.allows(SYS_tgkill, [own, own, Int(SIGKILL)]))
    #expect(try !Self.allows(SYS_tgkill, [1, 1, Int(SIGABRT)]))
    let limits = try (0..<16).filter { try Self.allows(SYS_prlimit64, [0, $0]) }
    #expect(limits == [Int(RLIMIT_STACK.rawValue)])
    #expect(try !Self.allows(SYS_prlimit64, [1, Int(RLIMIT_STACK.rawValue)]))
    let options = try (Int32(0)..<80).filter { try Self.allows(SYS_prctl, [$0]) }
    #expect(options == [PR_GET_NO_NEW_PRIVS])
    #expect(try Self.allows(SYS_prctl, [PR_SET_VMA]))
    let requests = try (0x5400..<0x5480).filter { try Self.allows(SYS_ioctl, [0, $0]) }
    #expect(requests == [Int(TCGETS)])
  }
}

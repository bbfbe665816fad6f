// The sandbox, from inside: a program that has entered it makes one call and dies, is refused, or
// goes on.

import CLinux
import Glibc
import Kernel
import Testing

@Suite struct SandboxTests {
  /// How a call ended.
  enum Ending: Equatable {
    case killed(Int32)
    case returned(errno: Int32)

    static let succeeded = Ending.returned(errno: 0)
    static let denied = Ending.returned(errno: EACCES)
    static let forbidden = Ending.killed(SIGSYS)
  }

  @Test(
    "A system call that rsock does not use kills the process",
    arguments: [
      "execve", "fork", "thread", "kill", "tgkill of another", "ptrace", "process_vm_readv",
      "keyctl", "bpf", "io_uring_setup", "unshare", "memfd_create", "prctl", "setrlimit", "ioctl",
      "fcntl", "x32",
    ])
  func forbidden(call: String) throws { #expect(try Self.ending(of: call) == .forbidden) }

  #if arch(x86_64)
    @Test("So does one of a 32-bit program")
    func otherArchitecture() throws { #expect(try Self.ending(of: "i386") == .forbidden) }
  #endif

  @Test(
    "Memory becomes no code, and memory works",
    arguments: [
      ("mmap code", Ending.forbidden), ("mprotect code", .forbidden),
      ("pkey_mprotect", .forbidden), ("mmap", .succeeded), ("mprotect", .succeeded),
      ("malloc", .succeeded), ("stack", .succeeded),
    ])
  func memory(call: String, expected: Ending) throws {
    #expect(try Self.ending(of: call) == expected)
  }

  @Test(
    "Sockets of other kinds kill, other TCP ports are denied, and those in use work",
    arguments: [
      ("socket raw", Ending.forbidden), ("socket packet", .forbidden),
      ("socket netlink", .forbidden), ("socket of MPTCP", .forbidden),
      ("socket vsock", .forbidden), ("socket unix", .forbidden),
      ("setsockopt of iptables", .forbidden), ("getsockopt", .forbidden),
      ("connect TCP", .denied), ("bind TCP", .denied),
      ("guard", .succeeded), ("flow", .succeeded), ("netlink query", .succeeded),
    ])
  func sockets(call: String, expected: Ending) throws {
    #expect(try Self.ending(of: call) == expected)
  }

  @Test(
    "A decoy's connections are taken over on its ports, and go anywhere",
    arguments: [
      ("decoy: go on with a connection", Ending.succeeded), ("decoy: bind TCP", .succeeded),
      ("decoy: bind TCP elsewhere", .denied),
      ("decoy: connect TCP", .returned(errno: ECONNREFUSED)),
    ])
  func decoy(call: String, expected: Ending) throws {
    #expect(try Self.ending(of: call) == expected)
  }

  @Test(
    "Files are read, written and removed where that is allowed, and only there",
    arguments: [
      ("read", ["readable"]), ("list", ["readable"]), ("append", ["writable"]),
      ("make", ["writable"]), ("remove", ["removable"]), ("empty", []),
    ])
  func files(verb: String, allowed: [String]) throws {
    for place in ["readable", "writable", "removable", "outside"] {
      let expected = allowed.contains(place) ? Ending.succeeded : .denied
      #expect(try Self.ending(of: "\(verb) \(place)") == expected, "\(verb) \(place)")
    }
  }

  @Test(
    "What glibc and the Swift runtime do rarely works",
    arguments: ["remedy", "random", "time zone", "syslog"])
  func rare(call: String) throws { #expect(try Self.ending(of: call) == .succeeded) }

  @Test("A crash ends as one", arguments: [("abort", SIGABRT), ("trap", SIGILL)])
  func crash(call: String, signal: Int32) throws {
    #expect(try Self.ending(of: call) == .killed(signal))
  }

  @Test("Without Landlock the filter holds, and files are open")
  func withoutLandlock() throws {
    let missing = SYS_landlock_create_ruleset
    #expect(try Self.ending(of: "read outside", without: missing) == .succeeded)
    #expect(try Self.ending(of: "connect TCP", without: missing) == .returned(errno: ECONNREFUSED))
    #expect(try Self.ending(of: "execve", without: missing) == .forbidden)
  }

  @Test("Without seccomp files are guarded, and no call kills")
  func withoutSeccomp() throws {
    #expect(try Self.ending(of: "read outside", without: SYS_seccomp) == .denied)
    #expect(try Self.ending(of: "execve", without: SYS_seccomp) == .denied)
    #expect(try Self.ending(of: "fcntl", without: SYS_seccomp) == .succeeded)
  }

  /// Lets the probe make a call; `missing` is a system call that its kernel does not have.
  private static func ending(of call: String, without missing: Int32? = nil) throws -> Ending {
    let path = try CapabilitiesTests.executable()
    let probe = path[...path.lastIndex(of: "/")!] + "SandboxProbe"
    let directory = try shell("mktemp -d /tmp/rsk-s-XXXXXX").split(separator: "\n").joined()
    defer { _ = try? shell("rm -rf \(directory)") }
    for place in ["readable", "writable", "removable", "outside"] {
      try shell("mkdir \(directory)/\(place) && echo text > \(directory)/\(place)/file")
    }
    let prefix = missing.map { [String(probe), "without", "\($0)"] } ?? []
    let status = try waitStatus(
      of: prefix + [String(probe), call, directory],
      // Swift's own handler of crashes starts a program.
      environment: ["SWIFT_BACKTRACE=enable=no"])
    return status & 0x7F == 0 ? .returned(errno: status >> 8) : .killed(status & 0x7F)
  }
}

// Capabilities given up are gone. Each test runs in a process of its own, as these calls change the
// process for good.

import Glibc
import Kernel
import Testing
import Wire

@Suite struct CapabilitiesTests {
  @Test("What is not kept is gone from every set, and what is kept works")
  func keepOne() async {
    await #expect(processExitsWith: .success) {
      try Self.unshared {
        try Capabilities.keep(only: .netRaw)
        for (set, mask) in [("CapPrm", 1 << 13), ("CapEff", 1 << 13), ("CapBnd", 1 << 13)] {
          #expect(try Self.status(set) == mask, "\(set)")
        }
        #expect(try Self.status("CapInh") == 0)
        #expect(try Self.status("CapAmb") == 0)
        #expect(try Capabilities.raisePermitted() == .netRaw)
        let socket = try PacketSocket(filter: .nothing)
        let found = socket.receiveBufferLimit
        let limit = try #require(found)
        #expect(limit.sysctl == "net.core.rmem_max" && limit.requested == 16 << 20)
        let held = try GuardSocket(at: Endpoint(.any, 4430))
        #expect(held.endpoint.port == 4430)
        #expect(limit.granted == Int(try Self.contents("/proc/sys/net/core/rmem_max")))
      }
    }
  }

  @Test("Without CAP_NET_RAW the error says that the bounding set is why, where it is")
  func keepNone() async {
    await #expect(processExitsWith: .success) {
      try Self.unshared {
        try Capabilities.keep(only: [])
        #expect(try Capabilities.raisePermitted() == [])
        #expect(
          text { () throws(SystemError) in _ = try PacketSocket(filter: .nothing) }
            == "open AF_PACKET socket: Operation not permitted. The bounding set lacks "
            + "CAP_NET_RAW: start the container with --cap-add=NET_RAW, "
            + "or set CapabilityBoundingSet= of the unit")
      }
    }
  }

  @Test("An ordinary user is told the setcap line, also for a port below 1024")
  func ordinaryUser() async {
    await #expect(processExitsWith: .success) {
      try Self.unshared {
        let path = try Self.executable()
        try Self.becomeOrdinary()
        let setcap =
          "sudo setcap cap_net_raw,cap_net_admin,cap_net_bind_service=p \(path)"
        #expect(
          text { () throws(SystemError) in _ = try RawSocket() }
            == "open raw IPv4 socket: Operation not permitted. "
            + "Give the binary CAP_NET_RAW: \(setcap)")
        #expect(
          text { () throws(SystemError) in _ = try GuardSocket(at: Endpoint(.any, 443)) }
            == "bind TCP port 443 of 0.0.0.0: Permission denied. "
            + "Give the binary CAP_NET_BIND_SERVICE: \(setcap)")
      }
    }
  }

  @Test("A binary on a nosuid mount is told the mount point")
  func nosuid() async {
    await #expect(processExitsWith: .success) {
      try Self.unshared {
        let path = try Self.executable()
        let directory = String(path[..<path.lastIndex(of: "/")!])
        try spawn(["mount", "--bind", directory, directory])
        try spawn(["mount", "-o", "remount,bind,nosuid", directory])
        #expect(
          Capabilities.missingRemedy(for: .netAdmin)
            == "\(directory) is mounted nosuid, where file capabilities do not count: move \(path) "
            + "elsewhere, for example to /usr/local/bin, and run sudo setcap "
            + "cap_net_raw,cap_net_admin,cap_net_bind_service=p /usr/local/bin/rsock")
      }
    }
  }

  @Test("no_new_privs is set, and named as a cause; cores are forbidden")
  func flags() async {
    await #expect(processExitsWith: .success) {
      try Capabilities.forbidNewPrivileges()
      try Sandbox.forbidCoreDumps()
      var limit = rlimit(rlim_cur: 1, rlim_max: 1)
      #expect(unsafe getrlimit(__rlimit_resource_t(RLIMIT_CORE.rawValue), &limit) == 0)
      #expect(limit.rlim_cur == 0 && limit.rlim_max == 0)
      #expect(try Self.status("NoNewPrivs") == 1)
      #expect(try Self.owner("/proc/self/environ") == 0)
      #expect(
        Capabilities.missingRemedy(for: .all).hasPrefix(
          "no_new_privs is set, so a program's file capabilities do not count"))
    }
  }
}

extension CapabilitiesTests {
  /// Runs `body` in network and mount namespaces of its own.
  static func unshared(_ body: () throws -> Void) throws {
    guard unshare(CLONE_NEWNET | CLONE_NEWNS) == 0 else { throw SetupFailure(what: "unshare") }
    try spawn(["mount", "--make-rprivate", "/"])
    try body()
  }

  /// Leaves root for a user without any capability; the bounding set stays.
  static func becomeOrdinary() throws {
    guard setresgid(65_534, 65_534, 65_534) == 0, setresuid(65_534, 65_534, 65_534) == 0 else {
      throw SetupFailure(what: "change the user")
    }
  }

  /// A number of /proc/thread-self/status: hexadecimal, as capability sets are.
  static func status(_ name: String) throws -> Int? {
    try contents("/proc/thread-self/status").split(separator: "\n")
      .first { $0.hasPrefix(name + ":") }
      .flatMap { Int($0.dropFirst(name.utf8.count + 2), radix: 16) }
  }

  /// The text of a small file without the last newline.
  static func contents(_ path: String) throws -> String {
    let file = Descriptor(owning: unsafe open(path, O_RDONLY))
    var bytes = [UInt8](repeating: 0, count: 8192)
    let count = unsafe read(file.rawValue, &bytes, bytes.count)
    guard count > 0 else { throw SetupFailure(what: "read \(path)") }
    return String(decoding: bytes[..<count].dropLast(), as: UTF8.self)
  }

  /// The path of the running program.
  static func executable() throws -> String {
    var bytes = [CChar](repeating: 0, count: Int(PATH_MAX))
    let count = unsafe readlink("/proc/self/exe", &bytes, bytes.count)
    guard count > 0 else { throw SetupFailure(what: "read /proc/self/exe") }
    return String(decoding: bytes[..<count].map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }

  /// The user that a file belongs to.
  static func owner(_ path: String) throws -> UInt32 {
    var status = stat()
    guard unsafe stat(path, &status) == 0 else { throw SetupFailure(what: "stat \(path)") }
    return status.st_uid
  }
}

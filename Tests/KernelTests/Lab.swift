// Network namespaces for tests of the real kernel, and commands in them.

import CLinux
import Glibc
import Kernel
import Synchronization
import Wire

/// What a shell command wrote, its errors included; a failing command is an error.
@discardableResult
func shell(_ command: String) throws -> String {
  guard let stream = unsafe popen("{ \(command)\n} 2>&1", "re") else {
    throw LabError(text: "popen")
  }
  var output: [UInt8] = []
  var chunk = [UInt8](repeating: 0, count: 4096)
  while true {
    let count = unsafe fread(&chunk, 1, chunk.count, stream)
    if count == 0 { break }
    output += chunk[..<count]
  }
  let status = unsafe pclose(stream)
  let text = String(decoding: output, as: UTF8.self)
  if status != 0 { throw LabError(text: "\(command): status \(status): \(text)") }
  return text
}

/// What went wrong in a test's surroundings.
struct LabError: Error, CustomStringConvertible {
  let text: String
  var description: String { text }
}

private let serial = Atomic<Int>(0)

/// A network namespace that is gone when this is.
struct Lab: ~Copyable {
  let name: String

  /// A namespace with the loopback up. Root is needed: without it the test fails.
  init(_ role: String) throws {
    let number = serial.add(1, ordering: .relaxed).newValue
    name = "rsk-n-\(getpid())-\(number)-\(role)"
    try shell("ip netns add \(name) && ip -n \(name) link set lo up")
  }

  deinit { _ = try? shell("ip netns pids \(name) | xargs -r kill; ip netns del \(name)") }

  /// Runs a command in the namespace.
  @discardableResult
  func run(_ command: String) throws -> String {
    try shell("ip netns exec \(name) sh -c '\(command)'")
  }

  /// Runs ip(8) in the namespace.
  @discardableResult
  func ip(_ command: String) throws -> String { try shell("ip -n \(name) \(command)") }

  /// Runs `body` on this thread inside the namespace; what it opens stays there.
  func inside<Result: ~Copyable>(_ body: () throws -> Result) throws -> Result {
    let home = Descriptor(owning: unsafe open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC))
    let other = Descriptor(owning: unsafe open("/run/netns/\(name)", O_RDONLY | O_CLOEXEC))
    guard setns(other.rawValue, CLONE_NEWNET) == 0 else {
      throw LabError(text: "setns \(name): errno \(errno)")
    }
    defer { _ = setns(home.rawValue, CLONE_NEWNET) }
    return try body()
  }
}

extension Lab {
  /// What nft lists of a role's table, and of one that is made by its text.
  func listings(of role: Ruleset.Role) throws -> (table: [Substring], text: [Substring]) {
    let ruleset = try inside { try Ruleset(role: role) }
    let text = RulesetText.nft(role, table: "text", own: PortSet([1...1]))
    try shell("ip netns exec \(name) nft -f - <<'EOF'\n\(text)EOF")
    return (try listing(of: ruleset.table), try listing(of: "text"))
  }

  private func listing(of table: String) throws -> [Substring] {
    try run("nft list table inet \(table)").split(separator: "\n").dropFirst()
      .filter { !$0.contains("flags ") }
  }
}

/// Asks again every 10 ms until `condition` holds; false when it does not within two seconds.
func eventually(_ condition: () throws -> Bool) rethrows -> Bool {
  for _ in 0..<200 {
    if try condition() { return true }
    usleep(10_000)
  }
  return false
}

/// A raw IP socket whose packets come with their IPv4 header (raw(7)).
func rawSocket() -> Int32 { socket(AF_INET, Int32(SOCK_RAW.rawValue), Int32(IPPROTO_RAW)) }

/// Sends a packet that starts with its IP header.
func send(_ packet: [UInt8], to destination: IPAddress, over raw: Int32) throws {
  switch destination.family {
  case .ipv4:
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_addr.s_addr = destination.ipv4.bigEndian
    try send(packet, to: address, over: raw)
  case .ipv6:
    var address = sockaddr_in6()
    address.sin6_family = sa_family_t(AF_INET6)
    let words = (destination.high.bigEndian, destination.low.bigEndian)
    address.sin6_addr = unsafe unsafeBitCast(words, to: in6_addr.self)
    try send(packet, to: address, over: raw)
  }
}

/// Sends a packet to a sockaddr_in or sockaddr_in6.
private func send<Name>(_ packet: [UInt8], to name: Name, over raw: Int32) throws {
  var (packet, name) = (packet, name)
  let count = unsafe packet.withUnsafeMutableBytes { bytes in
    unsafe withUnsafeMutablePointer(to: &name) { name in
      var vector = unsafe iovec(iov_base: bytes.baseAddress, iov_len: bytes.count)
      return unsafe withUnsafeMutablePointer(to: &vector) { vector in
        var message = unsafe msghdr()
        unsafe message.msg_name = UnsafeMutableRawPointer(name)
        unsafe message.msg_namelen = socklen_t(MemoryLayout<Name>.size)
        unsafe message.msg_iov = vector
        unsafe message.msg_iovlen = 1
        return unsafe sendmsg(raw, &message, 0)
      }
    }
  }
  if count != packet.count { throw LabError(text: "send: errno \(errno)") }
}

/// A packet socket that hears all IPv4 on every device, not what this host sends.
func tapSocket() -> Int32 {
  let kind = Int32(SOCK_RAW.rawValue | SOCK_NONBLOCK.rawValue)
  let tap = socket(AF_PACKET, kind, Int32(UInt16(ETH_P_IP).bigEndian))
  var one = Int32(1)
  unsafe setsockopt(tap, SOL_PACKET, PACKET_IGNORE_OUTGOING, &one, 4)
  return tap
}

/// How many packets wait on a socket.
func packets(on tap: Int32) -> Int {
  var count = 0
  while recv(tap, nil, 0, 0) >= 0 { count += 1 }
  return count
}

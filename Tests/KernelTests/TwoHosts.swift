// Two network namespaces joined by a veth pair, for tests of this module's sockets.

import Glibc
import Kernel
import Synchronization
import Wire

/// What could not be set up.
struct SetupFailure: Error { let what: String }

/// Two namespaces, A and B, each with one Ethernet interface `v0` to the other.
struct TwoHosts {
  let a: Host
  let b: Host

  /// One of them.
  struct Host {
    let namespace: String
    let address: IPAddress
    /// The link address as `LinkHop` wants it.
    let link: UInt64

    /// Runs `body` on this thread in the namespace. A socket stays in the namespace it was made in.
    func inside<Result: ~Copyable>(_ body: () throws -> Result) throws -> Result {
      let home = unsafe open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC)
      let there = unsafe open("/run/netns/\(namespace)", O_RDONLY | O_CLOEXEC)
      defer {
        _ = close(home)
        _ = close(there)
      }
      guard home >= 0, there >= 0, setns(there, CLONE_NEWNET) == 0 else {
        throw SetupFailure(what: "enter \(namespace)")
      }
      defer { precondition(setns(home, CLONE_NEWNET) == 0) }
      return try body()
    }

    /// Runs a program in the namespace.
    func run(_ arguments: String...) throws {
      try spawn(["ip", "netns", "exec", namespace] + arguments)
    }

    /// The interface's index.
    func interface() throws -> Int32 { try inside { unsafe Int32(if_nametoindex("v0")) } }

    /// How to reach the other host.
    func hop(to other: Host) throws -> LinkHop {
      LinkHop(
        interfaceIndex: try interface(), destination: other.link, source: link,
        family: other.address.family)
    }
  }
}

private let serial = Atomic<Int>(0)

/// Makes the two hosts, lets `body` use them, and takes them down.
func withTwoHosts(
  offloads: Bool, family: AddressFamily = .ipv4, _ body: (TwoHosts) throws -> Void
) throws {
  let network = family == .ipv4 ? "10.77.0." : "2001:db8:77::"
  let number = serial.add(1, ordering: .relaxed).newValue
  let name = "rsk-k-\(getpid())-\(number)"
  let hosts = TwoHosts(
    a: .init(
      namespace: name + "a", address: IPAddress(network + "1")!, link: 0x0200_0000_000A),
    b: .init(
      namespace: name + "b", address: IPAddress(network + "2")!, link: 0x0200_0000_000B))
  defer {
    for host in [hosts.a, hosts.b] { try? spawn(["ip", "netns", "del", host.namespace]) }
  }
  for host in [hosts.a, hosts.b] { try spawn(["ip", "netns", "add", host.namespace]) }
  try spawn(
    ["ip", "-n", hosts.a.namespace, "link", "add", "v0", "address", "02:00:00:00:00:0a"]
      + ["type", "veth", "peer", "name", "v0", "address", "02:00:00:00:00:0b"]
      + ["netns", hosts.b.namespace])
  for host in [hosts.a, hosts.b] {
    let length = family == .ipv4 ? "24" : "64"
    let isOnlyOne = family == .ipv4 ? [] : ["nodad"]
    try spawn(
      ["ip", "-n", host.namespace, "address", "add", "\(host.address)/\(length)", "dev", "v0"]
        + isOnlyOne)
    try host.run("ip", "link", "set", "lo", "up")
    try host.run("ip", "link", "set", "v0", "up")
    if !offloads {
      try host.run(
        "ethtool", "-K", "v0", "tx", "off", "sg", "off", "tso", "off", "gso", "off", "gro", "off")
    }
  }
  try hosts.a.run(
    "ip", "neigh", "add", "\(hosts.b.address)", "lladdr", "02:00:00:00:00:0b", "dev", "v0")
  try hosts.b.run(
    "ip", "neigh", "add", "\(hosts.a.address)", "lladdr", "02:00:00:00:00:0a", "dev", "v0")
  try body(hosts)
}

/// Runs a program to its end; throws where it fails. Its output is dropped.
func spawn(_ arguments: [String]) throws {
  let status = try waitStatus(of: arguments)
  guard status == 0 else { throw SetupFailure(what: arguments.joined(separator: " ")) }
}

/// Runs a program to its end and gives what waitpid(2) says of it. Its output is dropped.
func waitStatus(of arguments: [String], environment variables: [String] = []) throws -> Int32 {
  var actions = unsafe posix_spawn_file_actions_t()
  unsafe posix_spawn_file_actions_init(&actions)
  defer { unsafe _ = posix_spawn_file_actions_destroy(&actions) }
  for number: Int32 in [1, 2] {
    unsafe posix_spawn_file_actions_addopen(&actions, number, "/dev/null", O_WRONLY, 0)
  }
  // posix_spawn takes arrays of C strings that end with nil; `ip` looks for programs in PATH.
  let words = unsafe arguments.map { unsafe strdup($0) }
  let settings = unsafe (["PATH=/usr/sbin:/usr/bin:/sbin:/bin"] + variables).map {
    unsafe strdup($0)
  }
  let texts = unsafe words + settings
  defer { for index in unsafe texts.indices { unsafe free(texts[index]) } }
  var argv = unsafe words + [nil]
  var environment = unsafe settings + [nil]
  var child: pid_t = 0
  let code = unsafe posix_spawnp(&child, arguments[0], &actions, nil, &argv, &environment)
  guard code == 0 else { throw SetupFailure(what: "start \(arguments[0])") }
  var status: Int32 = 0
  while unsafe waitpid(child, &status, 0) == -1, errno == EINTR {}
  return status
}

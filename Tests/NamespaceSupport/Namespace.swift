// A network namespace (ip-netns(8)) that lives as long as a test.

import Glibc
import Synchronization

/// A network namespace with a name that `ip netns` knows.
public final class Namespace: Sendable {
  private static let prefix = "rsock-test"
  private static let counter = Atomic(0)

  /// Its name: unique, with the pid of the process that made it.
  public let name: String

  /// Makes an empty namespace with its loopback up.
  init(role: String) throws {
    Self.removeStale
    let number = Self.counter.add(1, ordering: .relaxed).newValue
    name = "\(Self.prefix)-\(getpid())-\(number)-\(role)"
    try NamespaceSupport.run("ip", "netns", "add", name)
    try run("ip", "link", "set", "lo", "up")
  }

  /// The command line that runs `command` inside, as root.
  public func commandLine(_ command: [String]) -> [String] {
    ["ip", "netns", "exec", name] + command
  }

  /// Runs a command inside, as root, to its end; returns its standard output.
  @discardableResult
  public func run(_ command: String...) throws -> String {
    try NamespaceSupport.run(commandLine(command))
  }

  /// Starts a program inside, as root.
  public func start(_ command: String...) throws -> ChildProcess {
    try ChildProcess(commandLine(command))
  }

  /// Calls a function whose sockets are to be born inside: a socket stays in the namespace that its
  /// thread was in (network_namespaces(7)).
  func enter<Result>(_ body: () throws -> Result) throws -> Result {
    let outside = OpenFile(
      try check(unsafe open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC), "open ns/net"))
    let inside = OpenFile(
      try check(unsafe open("/run/netns/\(name)", O_RDONLY | O_CLOEXEC), "open \(name)"))
    try check(setns(inside.number, CLONE_NEWNET), "setns \(name)")
    defer { precondition(setns(outside.number, CLONE_NEWNET) == 0, "no way back") }
    return try body()
  }

  /// Kills what still runs inside and removes the namespace.
  func remove() { Self.remove(name) }

  private static func remove(_ name: String) {
    let pids = (try? NamespaceSupport.run("ip", "netns", "pids", name)) ?? ""
    for pid in pids.split(separator: "\n").compactMap({ pid_t($0) }) where pid != getpid() {
      kill(pid, SIGKILL)
    }
    _ = try? NamespaceSupport.run("ip", "netns", "del", name)
  }

  // A test process that was killed leaves its namespaces behind.
  private static let removeStale: Void = {
    let list = (try? NamespaceSupport.run("ip", "netns", "list")) ?? ""
    for line in list.split(separator: "\n") {
      let name = String(line.prefix { $0 != " " })
      guard name.hasPrefix(prefix + "-"),
        let pid = pid_t(name.dropFirst(prefix.count + 1).prefix { $0 != "-" }),
        kill(pid, 0) != 0, errno == ESRCH
      else { continue }
      remove(name)
    }
  }()
}

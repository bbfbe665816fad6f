// What /proc says of a process and of a namespace.

import Glibc

extension ChildProcess {
  /// Its resident memory in bytes (VmRSS of proc_pid_status(5)).
  public func residentBytes() throws -> Int {
    guard let text = try status()["VmRSS"]?.split(separator: " ").first,
      let kibibytes = Int(text)
    else { throw Failure("no VmRSS of \(command)") }
    return kibibytes * 1024
  }

  /// The processor time that its threads have used, user and system (the first number of
  /// /proc/PID/schedstat: nanoseconds, where proc_pid_stat(5) counts in hundredths of a second).
  public func processorTime() throws -> Duration {
    let tasks = try run("ls", "/proc/\(pid)/task").split(separator: "\n")
    return try tasks.reduce(.zero) { sum, task in
      let fields = try textOfFile("/proc/\(pid)/task/\(task)/schedstat").split(separator: " ")
      guard let first = fields.first, let nanoseconds = Int64(first) else {
        throw Failure("no schedstat of \(command)")
      }
      return sum + .nanoseconds(nanoseconds)
    }
  }

  /// How often rsock dropped something, by reason, as it said in its last line. To be called when it
  /// has ended.
  public func drops() throws -> [String: Int] {
    guard let line = errors.split(separator: "\n").last(where: { $0.contains("stopped: ") }),
      let list = line.firstRange(of: "dropped: ")
    else { throw Failure("\(command) did not tell its counters: \(errors)") }
    let words = line[list.upperBound...].split(separator: ", ").map { $0.split(separator: " ") }
    return Dictionary(
      uniqueKeysWithValues: words.compactMap { words in
        Int(words.last ?? "").map { (words.dropLast().joined(separator: " "), $0) }
      })
  }

  /// Whether these bytes stand anywhere in what it can write to: its heap, its stack, its data.
  public func memoryContains(_ bytes: [UInt8]) throws -> Bool {
    let memory = OpenFile(
      try check(unsafe open("/proc/\(pid)/mem", O_RDONLY | O_CLOEXEC), "open its memory"))
    let areas = try textOfFile("/proc/\(pid)/maps").split(separator: "\n").compactMap(writableArea)
    guard !areas.isEmpty else { throw Failure("no memory of \(command)") }
    return try areas.contains { area in
      var content = [UInt8](repeating: 0, count: area.count)
      let count = try check(
        unsafe pread(memory.number, &content, content.count, off_t(area.lowerBound)), "read memory")
      return unsafe memmem(content, count, bytes, bytes.count) != nil
    }
  }

  /// Its real user.
  public func userID() throws -> Int {
    guard let first = try status()["Uid"]?.split(separator: "\t").first, let user = Int(first)
    else { throw Failure("no Uid of \(command)") }
    return user
  }

  /// The lines of proc_pid_status(5), by name.
  public func status() throws -> [String: String] {
    var fields: [String: String] = [:]
    for line in try textOfFile("/proc/\(pid)/status").split(separator: "\n") {
      guard let colon = line.firstIndex(of: ":") else { continue }
      fields[String(line[..<colon])] = String(
        line[line.index(after: colon)...].drop { $0 == "\t" || $0 == " " })
    }
    return fields
  }
}

/// The addresses of a line of proc_pid_maps(5), where the process may write to them.
private func writableArea(_ line: Substring) -> Range<Int>? {
  let words = line.split(separator: " ")
  let ends = words[0].split(separator: "-").compactMap { Int($0, radix: 16) }
  return words[1].hasPrefix("rw") && ends.count == 2 ? ends[0]..<ends[1] : nil
}

extension Host {
  /// How many packets have come in over its wire.
  public func receivedPackets() throws -> Int {
    let path = "/sys/class/net/\(Self.interface)/statistics/rx_packets"
    guard let count = Int(try run("cat", path).filter(\.isNumber)) else {
      throw Failure("no number in \(path)")
    }
    return count
  }

  /// How many datagrams the host's UDP sockets dropped because their buffers were full
  /// (UdpRcvbufErrors of nstat(8)).
  public func udpReceiveBufferErrors() throws -> Int {
    let lines = try run("cat", "/proc/net/snmp").split(separator: "\n")
      .filter { $0.hasPrefix("Udp:") }
      .map { $0.split(separator: " ") }
    guard lines.count == 2, let column = lines[0].firstIndex(of: "RcvbufErrors"),
      let count = Int(lines[1][column])
    else { throw Failure("no RcvbufErrors") }
    return count
  }
}

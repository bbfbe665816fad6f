// What /proc says of a process and of a namespace.


extension ChildProcess {
  /// Its resident memory in bytes (VmRSS of proc_pid_status(5)).
  public func residentBytes() throws -> Int {
    let status = try textOfFile("/proc/\(pid)/status")
    let line = status.split(separator: "\n").first { $0.hasPrefix("VmRSS:") }
    guard let line, let kibibytes = Int(line.split { $0 == " " || $0 == "\t" }[1]) else {
      throw Failure("no VmRSS of \(command)")
    }
    return kibibytes * 1024
  }

  /// The processor time that it has used, user and system (proc_pid_schedstat: nanoseconds, where
  /// utime and stime of proc_pid_stat(5) count in hundredths of a second).
  public func processorTime() throws -> Duration {
    let fields = try textOfFile("/proc/\(pid)/schedstat").split(separator: " ")
    guard let first = fields.first, let nanoseconds = Int64(first) else {
      throw Failure("no schedstat of \(command)")
    }
    return .nanoseconds(nanoseconds)
  }

  /// Its real user.
  public func userID() throws -> Int {
    let status = try textOfFile("/proc/\(pid)/status")
    let line = status.split(separator: "\n").first { $0.hasPrefix("Uid:") }
    guard let line, let user = Int(line.split(separator: "\t")[1]) else {
      throw Failure("no Uid of \(command)")
    }
    return user
  }
}

extension Host {
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

// What the probe can be told to do once it is confined.

import CLinux
import CSystemCalls
import Glibc
import Kernel
import Wire

/// Makes a call; -1 and errno where it fails.
func make(_ name: String, in directory: String, _ netlink: borrowing NetlinkSocket) -> Int {
  let result =
    processCall(name) ?? memoryCall(name) ?? socketCall(name) ?? fileCall(name, directory)
    ?? runtimeCall(name, netlink)
  guard let result else { fatalError("no call \(name)") }
  return result
}

/// Other programs and processes, and the kernel's wider parts.
private func processCall(_ name: String) -> Int? {
  switch name {
  case "execve":
    var words: [UnsafeMutablePointer<CChar>?] = unsafe [strdup("true"), nil]
    return unsafe Int(execv("/bin/true", &words))
  case "fork": return Int(fork())
  case "thread":
    var thread = pthread_t()
    return unsafe Int(pthread_create(&thread, nil, { _ in nil }, nil))
  case "kill": return Int(kill(getppid(), 0))
  case "tgkill of another": return call(SYS_tgkill, 1, 1, UInt(SIGABRT))
  case "ptrace": return call(SYS_ptrace)  // PTRACE_TRACEME
  case "process_vm_readv": return call(SYS_process_vm_readv, UInt(getpid()))
  case "keyctl": return call(SYS_keyctl)
  case "bpf": return call(SYS_bpf)
  case "io_uring_setup": return call(SYS_io_uring_setup, 1)
  case "unshare": return Int(unshare(CLONE_NEWUSER))
  case "memfd_create": return unsafe Int(memfd_create("x", 0))
  case "prctl": return Int(rs_prctl(PR_SET_DUMPABLE, 1))
  case "setrlimit": return call(SYS_prlimit64, 0, UInt(RLIMIT_CORE.rawValue))
  case "ioctl": return call(SYS_ioctl, 0, 0x5412)  // TIOCSTI
  case "fcntl": return Int(fcntl(0, F_GETFD))
  case "x32": return call(0x4000_0000 | SYS_getpid)
  #if arch(x86_64)
    case "i386": return cs_getpid_of_i386()
  #endif
  default: return nil
  }
}

private func memoryCall(_ name: String) -> Int? {
  let anonymous = MAP_PRIVATE | MAP_ANONYMOUS
  let isCode = name == "mmap code"
  switch name {
  case "mmap", "mmap code":
    let protection = PROT_READ | (isCode ? PROT_EXEC : PROT_WRITE)
    return unsafe mmap(nil, 4096, protection, anonymous, -1, 0) == MAP_FAILED ? -1 : 0
  case "mprotect", "mprotect code":
    let memory = unsafe mmap(nil, 4096, PROT_READ | PROT_WRITE, anonymous, -1, 0)
    return unsafe Int(mprotect(memory, 4096, PROT_READ | (name == "mprotect" ? 0 : PROT_EXEC)))
  case "pkey_mprotect": return call(SYS_pkey_mprotect)
  case "malloc":
    // Grows by brk, mmap and mremap, and gives back.
    var memory = unsafe malloc(100)
    for size in [1 << 16, 1 << 20, 1 << 24, 1 << 28, 100] {
      unsafe memory = realloc(memory, size)
      if unsafe memory == nil { return -1 }
    }
    unsafe free(memory)
    malloc_trim(0)
    return 0
  case "stack":
    return unsafe withUnsafeTemporaryAllocation(byteCount: 100_000, alignment: 8) { memory in
      memory.count == 100_000 ? 0 : -1
    }
  default: return nil
  }
}

private func socketCall(_ name: String) -> Int? {
  switch name {
  case "socket raw": return Int(socket(AF_INET, Int32(SOCK_RAW.rawValue), Int32(IPPROTO_RAW)))
  case "socket packet": return Int(socket(AF_PACKET, Int32(SOCK_RAW.rawValue), 0))
  case "socket netlink": return Int(socket(AF_NETLINK, Int32(SOCK_RAW.rawValue), NETLINK_ROUTE))
  case "socket of MPTCP": return Int(socket(AF_INET, Int32(SOCK_STREAM.rawValue), 262))
  case "socket vsock": return Int(socket(AF_VSOCK, Int32(SOCK_STREAM.rawValue), 0))
  case "socket unix": return Int(socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue), 0))
  case "setsockopt of iptables": return call(SYS_setsockopt, 0, UInt(IPPROTO_IP), 64)
  case "getsockopt": return call(SYS_getsockopt, 0, UInt(SOL_SOCKET), UInt(SO_PEERSEC))
  case "connect TCP", "decoy: connect TCP": return unsafe stream(rs_connect)
  case "bind TCP", "decoy: bind TCP": return unsafe stream(rs_bind)
  case "decoy: bind TCP elsewhere": return unsafe stream(rs_bind, port: 4435)
  default: return nil
  }
}

/// What `use` makes of a TCP socket and a port of this host.
private func stream(
  _ use: (Int32, UnsafeRawPointer, socklen_t) -> Int32, port: UInt16 = 4434
) -> Int {
  let number = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
  var address = sockaddr_in()
  address.sin_family = sa_family_t(AF_INET)
  address.sin_port = port.bigEndian
  address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
  return unsafe Int(use(number, &address, socklen_t(MemoryLayout<sockaddr_in>.size)))
}

private func fileCall(_ name: String, _ directory: String) -> Int? {
  let words = name.split(separator: " ")
  guard words.count == 2 else { return nil }
  let path = "\(directory)/\(words[1])"
  switch words[0] {
  case "read": return unsafe Int(open(path + "/file", O_RDONLY | O_CLOEXEC))
  case "list": return unsafe Int(open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC))
  case "append": return unsafe Int(open(path + "/file", O_WRONLY | O_APPEND | O_CLOEXEC))
  case "empty": return unsafe Int(open(path + "/file", O_WRONLY | O_TRUNC | O_CLOEXEC))
  case "make": return unsafe Int(open(path + "/new", O_WRONLY | O_CREAT | O_CLOEXEC, 0o600))
  case "remove": return unsafe Int(unlinkat(AT_FDCWD, path + "/file", 0))
  default: return nil
  }
}

/// What must go on working.
private func runtimeCall(_ name: String, _ netlink: borrowing NetlinkSocket) -> Int? {
  do throws(SystemError) {
    switch name {
    case "netlink query": return try Links.all(netlink).isEmpty ? -1 : 0
    case "guard": _ = try GuardSocket(at: Endpoint(.any, 0))
    case "flow": _ = try DatagramSocket(connectedTo: Endpoint(IPAddress("127.0.0.1")!, 9))
    case "decoy: go on with a connection": try goOn()
    case "remedy": return Capabilities.missingRemedy(for: .all).isEmpty ? -1 : 0
    case "random":
      var source = SystemRandom()
      return source.next() == 0 ? -1 : 0
    case "time zone":
      // A file that may not be read: the time is UTC then.
      unsafe setenv("TZ", "Europe/Berlin", 1)
      tzset()
    case "syslog": unsafe withVaList([]) { unsafe vsyslog(LOG_DEBUG, "a test of rsock", $0) }
    case "abort": abort()
    case "trap": preconditionFailure("the probe's")
    default: return nil
    }
    return 0
  } catch {
    errno = error.code
    return -1
  }
}

/// A connection of the loopback with nobody at its other end.
private func goOn() throws(SystemError) {
  let address = IPAddress("127.0.0.1")!
  var state = ConnectionState(
    tuple: FourTuple(local: Endpoint(address, 4434), remote: Endpoint(address, 9)), sendNext: 1,
    receiveNext: 1, sendWindow: 1000, receiveWindow: 1000)
  state.received = [1, 2, 3]
  let stream = try StreamSocket(resuming: state, interface: 1)
  // The loopback says at once that nobody is there.
  _ = try? stream.move(to: stream, through: StreamBuffer())
  try? stream.finish()
  _ = (stream.unacknowledged, stream.isClosed)
}

private func call(
  _ number: Int32, _ a: UInt = 0, _ b: UInt = 0, _ c: UInt = 0, _ d: UInt = 0
) -> Int {
  cs_call(Int(number), a, b, c, d)
}

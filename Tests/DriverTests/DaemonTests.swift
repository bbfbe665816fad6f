// The runtime directory and the pid file.

import Driver
import Glibc
import Samples
import Testing

@Suite("Runtime directory") struct RuntimeDirectoryTests {
  @Test("The first of the environment's, the system's and the temporary one") func order() throws {
    let scratch = Scratch()
    let paths = scratch.path
    func path(_ variables: [String: String], system: String) throws(StartError) -> String {
      try RuntimeDirectory(environment: { variables[$0] }, system: system, temporary: paths).path
    }
    let named = ["RUNTIME_DIRECTORY": "\(paths):/other", "XDG_RUNTIME_DIR": paths]
    #expect(try path(named, system: paths + "/system") == paths)
    #expect(try path(["XDG_RUNTIME_DIR": paths], system: paths + "/system") == paths + "/rsock")
    #expect(try path(["XDG_RUNTIME_DIR": "relative"], system: paths + "/s") == paths + "/s")
    #expect(try path([:], system: paths + "/system") == paths + "/system")
    let last = "\(paths)/rsock-\(geteuid())"
    #expect(try path([:], system: "/nonexistent/system") == last)
    #expect(mode(last) == 0o700)
  }

  @Test("One that is a link, a file, another's or open to all is refused") func refused() {
    let scratch = Scratch()
    let path = "\(scratch.path)/rsock-\(geteuid())"
    unsafe symlink("/tmp", path)
    #expect(
      sentence(scratch.path)
        == "\(path) is not a directory: remove it, or set RUNTIME_DIRECTORY to one.")
    unsafe unlink(path)
    close(unsafe open(path, O_CREAT | O_WRONLY, 0o600))
    #expect(
      sentence(scratch.path)
        == "\(path) is not a directory: remove it, or set RUNTIME_DIRECTORY to one.")
    unsafe unlink(path)
    unsafe mkdir(path, 0o700)
    unsafe chown(path, 12345, 12345)
    #expect(sentence(scratch.path).hasPrefix("\(path) belongs to another user (uid 12345): "))
    unsafe chown(path, 0, 0)
    unsafe chmod(path, 0o777)
    #expect(
      sentence(scratch.path) == "Others may write in \(path): remove it, rsock makes it anew.")
  }

  @Test("Another user's XDG_RUNTIME_DIR, as after su, is passed over") func otherXDG() throws {
    let scratch = Scratch()
    let xdg = scratch.path + "/xdg"
    unsafe mkdir(xdg, 0o700)
    unsafe chown(xdg, 12345, 12345)
    let directory = try RuntimeDirectory(
      environment: { $0 == "XDG_RUNTIME_DIR" ? xdg : nil }, system: scratch.path + "/system",
      temporary: "/nonexistent")
    #expect(directory.path == scratch.path + "/system")
  }

  private func sentence(_ temporary: String) -> String {
    do throws(StartError) {
      _ = try RuntimeDirectory(
        environment: { _ in nil }, system: "/nonexistent/system", temporary: temporary)
      return ""
    } catch {
      #expect(error.exitCode == 77)
      return error.sentence
    }
  }

  private func mode(_ path: String) -> mode_t {
    var status = stat()
    #expect(unsafe stat(path, &status) == 0)
    return status.st_mode & 0o7777
  }
}

@Suite("Pid file") struct PidFileTests {
  @Test("It is there as long as its owner, and holds off a second one") func lifetime() throws {
    let scratch = Scratch()
    let file = "\(scratch.path)/client-30000.pid"
    do {
      let first = try PidFile(role: .client, port: 30000, in: try directory(scratch))
      #expect(contents(file) == "\(getpid())\n")
      #expect(
        refusal(scratch).hasSuffix(
          "is already running (pid \(getpid())). Stop it first: kill \(getpid())"))
      _ = consume first
    }
    #expect(unsafe access(file, F_OK) == -1)
    #expect(refusal(scratch) == "")
  }

  @Test("A leftover with a longer number does not matter") func leftover() throws {
    let scratch = Scratch()
    let file = scratch.file("client-30000.pid", "12345678901\n")
    let owner = try PidFile(role: .client, port: 30000, in: try directory(scratch))
    #expect(contents(file) == "\(getpid())\n")
    _ = consume owner
  }

  @Test("A link under its name is not followed") func link() {
    let scratch = Scratch()
    unsafe symlink("\(scratch.path)/victim", "\(scratch.path)/client-30000.pid")
    #expect(refusal(scratch).contains("client-30000.pid"))
    #expect(unsafe access("\(scratch.path)/victim", F_OK) == -1)
  }

  private func directory(_ scratch: borrowing Scratch) throws(StartError) -> RuntimeDirectory {
    let path = scratch.path
    return try RuntimeDirectory(
      environment: { $0 == "RUNTIME_DIRECTORY" ? path : nil }, system: "", temporary: "")
  }

  private func refusal(_ scratch: borrowing Scratch) -> String {
    do throws(StartError) {
      _ = try PidFile(role: .client, port: 30000, in: try directory(scratch))
      return ""
    } catch {
      return error.sentence
    }
  }
}

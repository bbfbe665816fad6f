// Log lines, and the file that they go to.

import Driver
import Glibc
import Logging
import Samples
import Testing

@Suite("Log") struct LoggingTests {
  @Test("One line per message: time, level, text, metadata; nothing that moves a cursor")
  func form() throws {
    let scratch = Scratch()
    let path = scratch.path + "/log"
    var log = Logger(to: try .file(path), verbose: false)
    log[metadataKey: "peer"] = "10.0.0.1"
    log.notice("connected\u{1b}[2J\nforged", metadata: ["channel": "3"])
    log.debug("not shown")
    log.error("\u{202e}\u{85}é")
    let lines = contents(path).split(separator: "\n")
    let time = #/^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d /#
    #expect(lines.allSatisfy { $0.prefixMatch(of: time) != nil })
    #expect(
      lines.map { $0.dropFirst(20) } == [
        "notice: connected\\u{1b}[2J\\nforged channel=3 peer=10.0.0.1",
        "error: \\u{202e}\\u{85}é peer=10.0.0.1",
      ])
  }

  @Test("What stays writable: a file's directory, also behind a link; a device itself")
  func writable() throws {
    let scratch = Scratch()
    let path = scratch.path
    #expect(try LogDestination.file(path + "/log").writablePaths == [path + "/", path + "/"])
    unsafe mkdir(path + "/elsewhere", 0o700)
    unsafe symlink("elsewhere/target", path + "/link")
    #expect(
      try LogDestination.file(path + "/link").writablePaths == [path + "/", path + "/elsewhere/"])
    #expect(try LogDestination.file("/dev/null").writablePaths == ["/dev/null"])
    #expect(LogDestination.standardError.writablePaths == [])
  }

  @Test("-v shows what may help to find a fault") func verbose() throws {
    let scratch = Scratch()
    let log = Logger(to: try .file(scratch.path + "/log"), verbose: true)
    log.debug("a detail")
    log.trace("each packet")
    #expect(contents(scratch.path + "/log").hasSuffix(" debug: a detail\n"))
  }

  @Test("Reopening follows the path, and keeps the old file where that fails") func reopen() throws
  {
    let scratch = Scratch()
    let path = scratch.path + "/log"
    let destination = try LogDestination.file(path)
    let log = Logger(to: destination, verbose: false)
    log.notice("one")
    #expect(unsafe rename(path, path + ".1") == 0)
    log.notice("two")
    try destination.reopen()
    log.notice("three")
    #expect(contents(path + ".1").split(separator: "\n").count == 2)
    #expect(contents(path).hasSuffix(" notice: three\n"))

    unsafe rename(path, path + ".2")
    unsafe mkdir(path, 0o700)
    #expect(throws: StartError.self) { try destination.reopen() }
    log.notice("four")
    #expect(contents(path + ".2").hasSuffix(" notice: four\n"))
  }

  @Test("A file that cannot be written is an error with path and reason") func unwritable() {
    #expect {
      _ = try LogDestination.file("/nonexistent/log")
    } throws: {
      ($0 as? StartError)?.sentence.hasPrefix("--log: cannot write \"/nonexistent/log\": No such")
        == true
    }
  }
}

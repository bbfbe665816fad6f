// What the event loop stands on: epoll, signals, the clock, random numbers.

import Glibc
import Kernel
import Testing
import Wire

@Suite struct EventTests {
  @Test("Readiness is told by token, for as long as it lasts")
  func readiness() throws {
    var epoll = try Epoll()
    var ends: [Int32] = [0, 0]
    try #require(unsafe pipe(&ends) == 0)
    let input = Descriptor(owning: ends[0])
    let output = Descriptor(owning: ends[1])
    try epoll.add(input.rawValue, token: 0xFFFF_0000_1234_5678)
    #expect(try epoll.wait(timeout: .zero) == 0)
    #expect(unsafe write(output.rawValue, "x", 1) == 1)
    for _ in 0..<2 {
      #expect(try epoll.wait(timeout: nil) == 1)
      #expect(epoll.token(at: 0) == 0xFFFF_0000_1234_5678)
    }
    try epoll.remove(input.rawValue)
    #expect(try epoll.wait(timeout: .zero) == 0)
    #expect(throws: SystemError.self) { try epoll.remove(input.rawValue) }
  }

  @Test("A wait ends at its time, not before", arguments: [0, 1, 300, 1500, 20_000])
  func timeout(microseconds: Int) throws {
    var epoll = try Epoll()
    let start = BootClock.now()
    #expect(try epoll.wait(timeout: .microseconds(microseconds)) == 0)
    let elapsed = BootClock.now() - start
    #expect(elapsed >= .microseconds(microseconds) && elapsed < .seconds(2))
  }

  @Test("Signals are read one by one; a closed pipe does not end the program")
  func signals() async {
    await #expect(processExitsWith: .success) {
      let source = try SignalSource()
      var epoll = try Epoll()
      try epoll.add(source.descriptor.rawValue, token: 1)
      #expect(source.next() == nil)
      // This thread only has them blocked: the test's process has others.
      for number in [SIGTERM, SIGHUP, SIGUSR1, SIGINT] { pthread_kill(pthread_self(), number) }
      #expect(try epoll.wait(timeout: .seconds(2)) == 1)
      var seen: Set<Int32> = []
      while let number = source.next() { seen.insert(number) }
      #expect(seen == [SIGTERM, SIGHUP, SIGUSR1, SIGINT])
      var ends: [Int32] = [0, 0]
      try #require(unsafe pipe(&ends) == 0)
      _ = close(ends[0])
      #expect(unsafe write(ends[1], "x", 1) == -1 && errno == EPIPE)
    }
  }

  @Test("Random bytes fill the span and nothing beside it")
  func random() {
    var source = SystemRandom()
    #expect(Set((0..<64).map { _ in source.next() }).count == 64)
    var bytes = [UInt8](repeating: 0, count: 600)
    unsafe bytes.withUnsafeMutableBytes {
      var middle = unsafe MutableRawSpan(_unsafeBytes: $0[100..<500])
      source.fill(&middle)
    }
    #expect(bytes[..<100].allSatisfy { $0 == 0 } && bytes[500...].allSatisfy { $0 == 0 })
    #expect(Set(bytes[100..<500]).count > 128)
  }

  @Test("An error reads as a sentence")
  func errorText() {
    let error = SystemError(call: "open AF_PACKET socket", code: EPERM, remedy: "Be root")
    #expect(error.description == "open AF_PACKET socket: Operation not permitted. Be root")
    #expect(SystemError(call: "x", code: 9999).description == "x: error 9999")
  }
}

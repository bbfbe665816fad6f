import Samples
import Testing
import Wire

@testable import Engine

/// The small tables: who may be answered, what is held, whose flow it is.
@Suite struct TableTests {
  private static func moment(_ milliseconds: Int64) -> Instant {
    Instant(nanoseconds: milliseconds * 1_000_000)
  }

  @Test func rateLimit() {
    var limiter = RateLimiter(perSecond: 10, burst: 5, key: SipHashKey(1, 2))
    let source = IPAddress(ipv4: 0x0102_0304)
    let neighbour = IPAddress(ipv4: 0x0102_0399)
    let burst = (0..<20).count { _ in limiter.allows(source, at: Self.moment(1000)) }
    #expect(burst == 6)
    #expect(limiter.allows(neighbour, at: Self.moment(1000)) == false)
    let steady = (0..<1000).count { limiter.allows(source, at: Self.moment(1000 + Int64($0) * 10)) }
    #expect((98...101).contains(steady))
    // A flood from one network leaves the others alone.
    let others = (0..<256).count {
      limiter.allows(IPAddress(ipv4: UInt32($0 + 7) << 8), at: Self.moment(11_000))
    }
    #expect(others >= 254)
    #expect(limiter.allows(source, at: Self.moment(99_000)) == true)
  }

  /// Of IPv6 it is /48 networks.
  @Test func rateLimitOfIPv6() throws {
    var limiter = RateLimiter(perSecond: 10, burst: 5, key: SipHashKey(1, 2))
    let source = try #require(IPAddress("2001:db8:7::1"))
    let burst = (0..<20).count { number in
      var neighbour = source
      neighbour.high += UInt64(number)
      return limiter.allows(neighbour, at: Self.moment(1000))
    }
    #expect(burst == 6)
    let other = try #require(IPAddress("2001:db8:8::1"))
    #expect(limiter.allows(other, at: Self.moment(1000)) == true)
  }

  @Test func holdQueue() {
    var queue = HoldQueue(byteLimit: 128 << 10)
    let datagram = [UInt8](repeating: 9, count: 3000)
    var count = 0
    while queue.append(datagram.rawSpan, flow: UInt16(count), at: Self.moment(Int64(count))) {
      count += 1
    }
    #expect(count == (128 << 10) / 3000)
    #expect(queue.removeOlder(than: Self.moment(10)) == 10)
    #expect(queue.entries.map(\.flow) == (10..<UInt16(count)).map { $0 })
    #expect(queue.removeFirst().bytes == datagram)
    #expect(queue.entries.first?.flow == 11)
    #expect(queue.removeOlder(than: .distantFuture) == count - 11)
    #expect(queue.isEmpty)
    let empty: [UInt8] = []
    count = 0
    while queue.append(empty.rawSpan, flow: 1, at: Self.moment(0)) { count += 1 }
    #expect(count == HoldQueue.countLimit)
  }

  /// An index is not given again before it was let go of.
  @Test func slabKeepsWhatEnded() {
    var slab = Slab<Int>()
    let first = slab.insert(1)
    slab.remove(first)
    let second = slab.insert(2)
    let isStillThere = slab.contains(first)
    #expect(first != second && !isStillThere)
    slab.recycle(first)
    let third = slab.insert(3)
    #expect(third == first)
    let count = slab.count
    #expect(count == 2)
  }

  /// Against dictionaries, with indices used again.
  @Test func flowTable() {
    var random = SplitMix64Samples(seed: 2)
    var table = FlowTable()
    var byID: [Int: Int] = [:]
    for _ in 0..<20_000 {
      let name = Int.random(in: 0..<300, using: &random)
      let (session, id) = (name % 3, UInt16(name))
      let endpoint = Endpoint(IPAddress(ipv4: UInt32(name)), 1)
      let found = (table.index(session: session, id: id), table.index(endpoint: endpoint))
      #expect(found.0 == byID[name])
      #expect(found.1 == byID[name])
      if let index = byID[name], Bool.random(using: &random) {
        table.remove(index)
        let isStillThere = table.contains(index)
        #expect(!isStillThere)
        table.recycle(index)
        byID[name] = nil
      } else if byID[name] == nil {
        byID[name] = table.insert(
          Flow(session: session, id: id, endpoint: endpoint, lastActive: Self.moment(0)))
      }
      let count = table.count
      #expect(count == byID.count)
    }
    for session in 0..<3 {
      let expected = Set(byID.filter { $0.key % 3 == session }.values)
      let indices = Set(table.indices(ofSession: session))
      #expect(indices == expected)
    }
    #expect(byID.values.allSatisfy { $0 < 300 })
  }

  @Test func flowIDsRest() {
    var pool = FlowIDPool()
    for id in 0...UInt16.max {
      let taken = pool.take(at: Self.moment(0))
      guard taken == id else {
        Issue.record("took \(String(describing: taken)) for \(id)")
        return
      }
    }
    #expect(pool.take(at: Self.moment(0)) == nil)
    pool.release(7, restingUntil: Self.moment(10))
    pool.release(5, restingUntil: Self.moment(20))
    #expect(pool.take(at: Self.moment(9)) == nil)
    #expect(pool.take(at: Self.moment(10)) == 7)
    #expect(pool.take(at: Self.moment(19)) == nil)
    #expect(pool.take(at: Self.moment(20)) == 5)
  }
}

import Samples
import Testing
import Wire

@testable import Engine

@Suite struct TimerQueueTests {
  /// Against a dictionary that is searched for the least.
  @Test func behavesLikeASearch() {
    var random = SplitMix64Samples(seed: 1)
    var queue = TimerQueue()
    var reference: [TimerKey: Instant] = [:]
    for _ in 0..<50_000 {
      let key = Self.key(&random)
      switch Int.random(in: 0..<10, using: &random) {
      case 0:
        queue.cancel(key)
        reference[key] = nil
      case 1, 2:
        let next = reference.values.min() ?? .distantFuture
        #expect(queue.next == next)
        if let popped = queue.popDue(at: next), next != .distantFuture {
          #expect(reference[popped] == next)
          reference[popped] = nil
        }
      default:
        let deadline = Instant(nanoseconds: Int64.random(in: 0..<5000, using: &random))
        queue.schedule(key, at: deadline)
        reference[key] = min(deadline, reference[key] ?? .distantFuture)
      }
      #expect(queue.count == reference.count)
    }
  }

  @Test func nothingIsDueEarly() {
    var queue = TimerQueue()
    #expect(queue.next == .distantFuture)
    queue.schedule(.dialer, at: Instant(nanoseconds: 7))
    #expect(queue.popDue(at: Instant(nanoseconds: 6)) == nil)
    #expect(queue.popDue(at: Instant(nanoseconds: 7)) == .dialer)
    #expect(queue.popDue(at: .distantFuture) == nil)
  }

  /// A channel that sends and hears all day has one entry, not one for each deadline that it ever
  /// had.
  @Test func neverOutgrowsItsTimers() {
    var queue = TimerQueue()
    for step in Int64(0)..<10_000 {
      queue.schedule(.channel(3), at: Instant(nanoseconds: step + 600))
      queue.schedule(.channel(3), at: Instant(nanoseconds: step + 1))
      _ = queue.popDue(at: Instant(nanoseconds: step + 1))
      queue.schedule(.channel(3), at: Instant(nanoseconds: step + 660))
    }
    #expect(queue.count == 1)
  }

  private static func key(_ random: inout SplitMix64Samples) -> TimerKey {
    let index = Int.random(in: 0..<40, using: &random)
    switch Int.random(in: 0..<4, using: &random) {
    case 0: return .channel(index)
    case 1: return .flow(index)
    case 2: return .session(index)
    default: return .dialer
    }
  }
}

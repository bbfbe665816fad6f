import AllocationCounter
import EnginePair
import Testing

/// Once the tables are there, a datagram touches no heap.
@Suite struct EngineAllocationTests {
  @Test(arguments: [
    (true, EnginePair.Delivery.merged, false), (false, .single, false), (true, .single, true),
  ])
  func steadyStateAllocatesNothing(
    _ merged: Bool, _ delivery: EnginePair.Delivery, _ isOnICMP: Bool
  ) {
    var pair = EnginePair(isOnICMP: isOnICMP)
    pair.fill(count: 40, size: 1400, merged: merged)
    for _ in 0..<2000 { pair.exchange(delivery) }
    let before = allocation_count()
    for _ in 0..<2000 { pair.exchange(delivery) }
    let after = allocation_count()
    #expect(after - before == 0)
    #expect(pair.delivered == 4000 * 40)
  }
}

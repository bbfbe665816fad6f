// Sockets by the engine's indices. A class because the standard library's tables hold no
// non-copyable values; it is looked up once a batch, never per packet.

/// A place for one non-copyable value in a table.
final class Place<Value: ~Copyable> {
  var value: Value

  init(_ value: consuming Value) { self.value = value }
}

/// Values by small indices that are used again.
struct PlaceTable<Value: ~Copyable> {
  private var places: [Place<Value>?] = []

  subscript(index: Int) -> Place<Value>? {
    get { places.indices.contains(index) ? places[index] : nil }
    set {
      while places.count <= index { places.append(nil) }
      places[index] = newValue
    }
  }
}

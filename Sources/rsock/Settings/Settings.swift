// All that the user said: options win over the file, the file over the environment and the defaults.

package import Driver

/// The settings of one command, from the command line and the file.
package struct Settings {
  /// What the user should know about the settings, a line each.
  package var notes: [String] = []
  private var values: [SettingName: Setting] = [:]

  /// Puts the options over what `file`, if any, says; a key in either wins over `environmentKey`.
  package init(
    options: [SettingName: String], file path: String?, environmentKey: String? = nil
  ) throws(StartError) {
    if let path {
      let file = try ConfigurationFile(path: path)
      values = file.settings
      notes = file.notes
    }
    let options = options.map { Setting(name: $0, text: $1, origin: .option) }
    // The file's way to give a key may be another one.
    if options.contains(where: { Self.keyNames.contains($0.name) && $0.isKey }) {
      for name in Self.keyNames { values[name] = nil }
    }
    for option in options { values[option.name] = option }
    if let environmentKey, !Self.keyNames.contains(where: { values[$0]?.isKey == true }) {
      values[.key] = Setting(name: .key, text: environmentKey, origin: .environment)
    }
  }

  /// One setting, if the user gave it.
  package subscript(name: SettingName) -> Setting? { values[name] }

  /// Takes note of a setting that does nothing.
  package mutating func ignore(_ name: SettingName, _ reason: String) {
    guard let setting = values[name] else { return }
    notes.append("\(setting.place) is accepted and ignored: \(reason)")
  }
}

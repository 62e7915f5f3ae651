#pragma once
/// @file
/// An estate for opi-bench provision: projects as texts, a control database of its own, and passes whose cost is
/// counted.

#include <memory>
#include <string>

#include "bench/measurement.hpp"
#include "pg/settings.hpp"

namespace opi::bench {

struct ProvisionRun {
  int deployments = 1;
  int parallel = 1;
  bool bare = true;        ///< the bare SQL beside the creation
  bool catalogue = false;  ///< rows put into the catalogs of a throw-away server instead of creating
};

/// What one pass cost.
struct PassCost {
  double seconds = 0;  ///< parsing the projects included
  double cpu_seconds = 0;
  std::uint64_t statements = 0;   ///< on leased connections
  std::uint64_t connections = 0;  ///< opened during the pass, into whatever database
  std::size_t changed = 0;        ///< deployments that something was done for
};

/// Everything begins with "bench_", and what a run before has left is dropped first: superuser, throw-away servers.
class ProvisionEstate {
 public:
  ProvisionEstate(const ProvisionRun& run, const pg::ServerSettings& server);
  ~ProvisionEstate();
  ProvisionEstate(const ProvisionEstate&) = delete;
  ProvisionEstate& operator=(const ProvisionEstate&) = delete;

  /// The first `count` projects, a deployment each.
  void declare(int count);
  /// Another connection limit for the first deployment.
  void change_first();
  /// Everything, all files parsed anew, with the pools as they are.
  PassCost pass();
  /// Everything, no file parsed, as when none has changed.
  PassCost pass_of_known();
  /// The first project alone, as when its file has changed.
  PassCost pass_of_first();
  /// Everything, with pools that are opened in it, as a process does that begins.
  PassCost fresh_pass();
  /// Makes one deployment, and rows for the others in the server's catalogs and the control database.
  void fill_catalogue();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// The SQL of one deployment's creation, batch by batch, with its transactions.
struct BareDeployment {
  std::string name;
  std::string roles;
  std::string create_database;
  std::string database;
  std::string inside;
  std::string logins;
};
BareDeployment bare_deployment(int number, const std::string& admin);

}  // namespace opi::bench

#pragma once
/// @file
/// The demo's workshop: everything that the ordinary server needs to do its main job on one machine, made once and
/// kept.

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>

#include "aio/task.hpp"
#include "base/clock.hpp"
#include "base/result.hpp"

namespace opi::app {

struct DemoOptions {
  std::filesystem::path directory = ".opi";  ///< made when missing; kept between starts
  std::filesystem::path examples = {};       ///< folder of project files to begin with; empty: looked for
};

/// What stands after `prepare_demo`.
struct Demo {
  std::filesystem::path configuration;  ///< opi.yaml, written anew at each start
  std::filesystem::path repository;     ///< a bare Git repository of project files
  std::filesystem::path checkout;       ///< a clone of it to work in
  std::filesystem::path cluster;        ///< a bare Git repository, which stands for the cluster
  std::size_t files = 0;                ///< project files at its head
  std::string head;                     ///< seven characters of the commit
  bool repository_made = false;
  std::uint16_t postgres_port = 0;
  std::uint16_t http_port = 0;
  std::uint16_t probes_port = 0;
};

/// Makes what is missing: the folder, a platform key and an administrator's password (mode 0600), the repository with
/// the examples in it, a checkout, an empty repository for what the cluster is to get; picks free ports, and writes the
/// configuration file. Nothing that exists is changed but the configuration. A kill in between leaves nothing
/// half-made. Errors: denied (read-only disk, rights), not_found (no examples, no git).
Task<Result<Demo>> prepare_demo(DemoOptions options, SteadyTime deadline);

}  // namespace opi::app

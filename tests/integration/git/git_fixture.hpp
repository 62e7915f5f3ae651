#pragma once
/// @file
/// A repository that is followed, a folder for mirrors of it, and an event loop: what the tests of this room share.

#include <gtest/gtest.h>

#include <boost/asio/io_context.hpp>
#include <chrono>
#include <string>
#include <utility>

#include "git/mirror.hpp"
#include "support/git_repository.hpp"
#include "support/in_time.hpp"
#include "support/run_coroutine.hpp"
#include "support/temporary_directory.hpp"

namespace opi::git {

using namespace std::chrono_literals;
using test::GitRepository;
using test::in;
using test::run_coroutine;

class GitFixture : public testing::Test {
 protected:
  explicit GitFixture(const std::string& repository = "source.git") : source(directory.path() / repository) {}

  MirrorSettings mirror_of(std::string url, const std::string& name = "mirror") const {
    MirrorSettings settings;
    settings.url = std::move(url);
    settings.directory = directory.path() / name;
    return settings;
  }
  MirrorSettings small_mirror_of(std::string url) const {
    auto settings = mirror_of(std::move(url));
    settings.limits.file_bytes_max = 1'000;
    return settings;
  }

  test::TemporaryDirectory directory;
  asio::io_context context;
  GitRepository source;
};

}  // namespace opi::git

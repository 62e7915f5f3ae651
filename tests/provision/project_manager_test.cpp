#include "provision/project_manager.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace opi::provision {
namespace {

std::string file_of(const std::string& name) {
  return "name: " + name +
         "\nclusters: [local]\nservices: [postgresql-database]\n"
         "components:\n  - name: web\n    uses-services: [postgresql-database]\n"
         "deployments:\n  - name: prod\n    cluster: local\n    components: [{reference: web, image: "
         "registry.example/web:1}]\n";
}

TEST(ProjectManager, HoldsProjectsInTheOrderOfTheirFiles) {
  ProjectManager projects;
  EXPECT_TRUE(projects.replace("projects/b.yaml", "1", "c", file_of("bee")).empty());
  EXPECT_TRUE(projects.replace("projects/a.yaml", "2", "c", file_of("ant")).empty());
  ASSERT_EQ(projects.projects().size(), 2U);
  EXPECT_EQ(projects.projects()[0].project.name.value, "ant");
  EXPECT_EQ(projects.projects()[0].source.blob, "2");
  ASSERT_NE(projects.find("bee"), nullptr);
  EXPECT_EQ(projects.find("cat"), nullptr);
}

TEST(ProjectManager, ABrokenVersionLeavesTheLastGoodOneAndIsReported) {
  ProjectManager projects;
  projects.replace("projects/a.yaml", "1", "c1", file_of("ant"));
  const auto errors = projects.replace("projects/a.yaml", "2", "c2", "name: [");
  ASSERT_FALSE(errors.empty());
  EXPECT_EQ(errors[0].place.file, "projects/a.yaml");
  ASSERT_EQ(projects.projects().size(), 1U);
  EXPECT_EQ(projects.projects()[0].source.blob, "1");
  ASSERT_EQ(projects.errors().size(), 1U);
  EXPECT_TRUE(projects.errors()[0].last_good_version);
  EXPECT_EQ(projects.errors()[0].source.commit, "c2");
  EXPECT_TRUE(projects.replace("projects/a.yaml", "3", "c3", file_of("ant")).empty());
  EXPECT_TRUE(projects.errors().empty());
}

TEST(ProjectManager, GoingBackToTheGoodVersionMendsABrokenFile) {
  ProjectManager projects;
  projects.replace("projects/a.yaml", "1", "c1", file_of("ant"));
  projects.replace("projects/a.yaml", "2", "c2", "name: [");
  EXPECT_TRUE(projects.replace("projects/a.yaml", "1", "c3", file_of("ant")).empty());
  EXPECT_TRUE(projects.errors().empty());
}

TEST(ProjectManager, AFileThatWasNeverGoodDeclaresNothing) {
  ProjectManager projects;
  EXPECT_FALSE(projects.replace("projects/a.yaml", "1", "c1", "name: [").empty());
  EXPECT_TRUE(projects.projects().empty());
  ASSERT_EQ(projects.errors().size(), 1U);
  EXPECT_FALSE(projects.errors()[0].last_good_version);
}

TEST(ProjectManager, ARemovedFileIsForgottenWithItsErrors) {
  ProjectManager projects;
  projects.replace("projects/a.yaml", "1", "c1", file_of("ant"));
  projects.replace("projects/b.yaml", "1", "c1", "name: [");
  projects.remove("projects/a.yaml");
  projects.remove("projects/b.yaml");
  projects.remove("projects/never.yaml");
  EXPECT_TRUE(projects.projects().empty());
  EXPECT_TRUE(projects.errors().empty());
}

TEST(ProjectManager, ARenamedProjectReplacesTheOneOfItsFile) {
  ProjectManager projects;
  projects.replace("projects/a.yaml", "1", "c1", file_of("ant"));
  projects.replace("projects/a.yaml", "2", "c2", file_of("bee"));
  EXPECT_EQ(projects.find("ant"), nullptr);
  EXPECT_NE(projects.find("bee"), nullptr);
}

}  // namespace
}  // namespace opi::provision

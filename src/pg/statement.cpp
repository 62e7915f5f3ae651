#include "pg/statement.hpp"

namespace opi::pg {

Statement::Statement(std::string sql, Format results) : results_(results) {
  auto text = std::make_shared<Text>();
  text->effects = effects_of(sql);
  text->hash = hash_of(sql);
  text->contains_nul = sql.contains('\0');
  text->sql = std::move(sql);
  text_ = std::move(text);
}

}  // namespace opi::pg

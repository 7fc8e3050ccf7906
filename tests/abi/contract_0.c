/* contract_0.c - the ABI of libomendb.so.0, as programs that exist were compiled against it.
 *
 * Written by tools/abi_contract.py. It isn't written again when the header grows: that it still compiles
 * is the test. Only a new SONAME begins a new one.
 */
#include <omendb.h>

#include <stdio.h>

/* clang-format off */
#define SAME_TYPE(type, member, wanted) \
    _Static_assert(__builtin_types_compatible_p(__typeof__(((type *)0)->member), wanted), #type)
_Static_assert(offsetof(omendb_error, status) == 0, "omendb_error");
SAME_TYPE(omendb_error, status, omendb_status);
_Static_assert(offsetof(omendb_error, message) == 4, "omendb_error");
SAME_TYPE(omendb_error, message, char[252]);
_Static_assert(offsetof(omendb_options, struct_size) == 0, "omendb_options");
SAME_TYPE(omendb_options, struct_size, uint32_t);
_Static_assert(offsetof(omendb_options, flags) == 4, "omendb_options");
SAME_TYPE(omendb_options, flags, uint32_t);
_Static_assert(offsetof(omendb_options, durability) == 8, "omendb_options");
SAME_TYPE(omendb_options, durability, omendb_durability);
_Static_assert(offsetof(omendb_options, interval_ms) == 12, "omendb_options");
SAME_TYPE(omendb_options, interval_ms, uint32_t);
_Static_assert(offsetof(omendb_options, wal_size_max) == 16, "omendb_options");
SAME_TYPE(omendb_options, wal_size_max, uint64_t);
_Static_assert(offsetof(omendb_options, index_threads) == 24, "omendb_options");
SAME_TYPE(omendb_options, index_threads, uint32_t);
_Static_assert(offsetof(omendb_backup_options, struct_size) == 0, "omendb_backup_options");
SAME_TYPE(omendb_backup_options, struct_size, uint32_t);
_Static_assert(offsetof(omendb_backup_options, flags) == 4, "omendb_backup_options");
SAME_TYPE(omendb_backup_options, flags, uint32_t);
_Static_assert(offsetof(omendb_backup_options, base) == 8, "omendb_backup_options");
SAME_TYPE(omendb_backup_options, base, const char *);
_Static_assert(offsetof(omendb_backup_options, progress) == 16, "omendb_backup_options");
SAME_TYPE(omendb_backup_options, progress, omendb_backup_progress);
_Static_assert(offsetof(omendb_backup_options, context) == 24, "omendb_backup_options");
SAME_TYPE(omendb_backup_options, context, void *);
_Static_assert(offsetof(omendb_repair_options, struct_size) == 0, "omendb_repair_options");
SAME_TYPE(omendb_repair_options, struct_size, uint32_t);
_Static_assert(offsetof(omendb_repair_options, flags) == 4, "omendb_repair_options");
SAME_TYPE(omendb_repair_options, flags, uint32_t);
_Static_assert(offsetof(omendb_repair_options, progress) == 8, "omendb_repair_options");
SAME_TYPE(omendb_repair_options, progress, omendb_backup_progress);
_Static_assert(offsetof(omendb_repair_options, context) == 16, "omendb_repair_options");
SAME_TYPE(omendb_repair_options, context, void *);
_Static_assert(offsetof(omendb_vector_field, struct_size) == 0, "omendb_vector_field");
SAME_TYPE(omendb_vector_field, struct_size, uint32_t);
_Static_assert(offsetof(omendb_vector_field, dim) == 4, "omendb_vector_field");
SAME_TYPE(omendb_vector_field, dim, uint32_t);
_Static_assert(offsetof(omendb_vector_field, name) == 8, "omendb_vector_field");
SAME_TYPE(omendb_vector_field, name, const char *);
_Static_assert(offsetof(omendb_vector_field, type) == 16, "omendb_vector_field");
SAME_TYPE(omendb_vector_field, type, omendb_type);
_Static_assert(offsetof(omendb_vector_field, metric) == 20, "omendb_vector_field");
SAME_TYPE(omendb_vector_field, metric, omendb_metric);
_Static_assert(offsetof(omendb_vector_field, index) == 24, "omendb_vector_field");
SAME_TYPE(omendb_vector_field, index, omendb_index);
_Static_assert(offsetof(omendb_vector_field, reserved) == 28, "omendb_vector_field");
SAME_TYPE(omendb_vector_field, reserved, uint32_t);
_Static_assert(offsetof(omendb_field, struct_size) == 0, "omendb_field");
SAME_TYPE(omendb_field, struct_size, uint32_t);
_Static_assert(offsetof(omendb_field, type) == 4, "omendb_field");
SAME_TYPE(omendb_field, type, omendb_field_type);
_Static_assert(offsetof(omendb_field, name) == 8, "omendb_field");
SAME_TYPE(omendb_field, name, const char *);
_Static_assert(offsetof(omendb_schema, struct_size) == 0, "omendb_schema");
SAME_TYPE(omendb_schema, struct_size, uint32_t);
_Static_assert(offsetof(omendb_schema, vectors_count) == 4, "omendb_schema");
SAME_TYPE(omendb_schema, vectors_count, uint32_t);
_Static_assert(offsetof(omendb_schema, vectors) == 8, "omendb_schema");
SAME_TYPE(omendb_schema, vectors, const omendb_vector_field *);
_Static_assert(offsetof(omendb_schema, fields) == 16, "omendb_schema");
SAME_TYPE(omendb_schema, fields, const omendb_field *);
_Static_assert(offsetof(omendb_schema, fields_count) == 24, "omendb_schema");
SAME_TYPE(omendb_schema, fields_count, uint32_t);
_Static_assert(offsetof(omendb_id, text_view) == 0, "omendb_id");
SAME_TYPE(omendb_id, text_view, const char *);
_Static_assert(offsetof(omendb_id, size) == 8, "omendb_id");
SAME_TYPE(omendb_id, size, size_t);
_Static_assert(offsetof(omendb_id, number) == 16, "omendb_id");
SAME_TYPE(omendb_id, number, uint64_t);
_Static_assert(offsetof(omendb_vectors, struct_size) == 0, "omendb_vectors");
SAME_TYPE(omendb_vectors, struct_size, uint32_t);
_Static_assert(offsetof(omendb_vectors, type) == 4, "omendb_vectors");
SAME_TYPE(omendb_vectors, type, omendb_type);
_Static_assert(offsetof(omendb_vectors, field) == 8, "omendb_vectors");
SAME_TYPE(omendb_vectors, field, const char *);
_Static_assert(offsetof(omendb_vectors, data) == 16, "omendb_vectors");
SAME_TYPE(omendb_vectors, data, const void *);
_Static_assert(offsetof(omendb_vectors, row_stride) == 24, "omendb_vectors");
SAME_TYPE(omendb_vectors, row_stride, size_t);
_Static_assert(offsetof(omendb_vectors, dim) == 32, "omendb_vectors");
SAME_TYPE(omendb_vectors, dim, uint32_t);
_Static_assert(offsetof(omendb_vectors, reserved) == 36, "omendb_vectors");
SAME_TYPE(omendb_vectors, reserved, uint32_t);
_Static_assert(offsetof(omendb_vectors, present) == 40, "omendb_vectors");
SAME_TYPE(omendb_vectors, present, const uint8_t *);
_Static_assert(offsetof(omendb_rows, struct_size) == 0, "omendb_rows");
SAME_TYPE(omendb_rows, struct_size, uint32_t);
_Static_assert(offsetof(omendb_rows, vectors_count) == 4, "omendb_rows");
SAME_TYPE(omendb_rows, vectors_count, uint32_t);
_Static_assert(offsetof(omendb_rows, count) == 8, "omendb_rows");
SAME_TYPE(omendb_rows, count, size_t);
_Static_assert(offsetof(omendb_rows, ids) == 16, "omendb_rows");
SAME_TYPE(omendb_rows, ids, const omendb_id *);
_Static_assert(offsetof(omendb_rows, id_numbers) == 24, "omendb_rows");
SAME_TYPE(omendb_rows, id_numbers, const uint64_t *);
_Static_assert(offsetof(omendb_rows, id_text) == 32, "omendb_rows");
SAME_TYPE(omendb_rows, id_text, const char *);
_Static_assert(offsetof(omendb_rows, id_offsets) == 40, "omendb_rows");
SAME_TYPE(omendb_rows, id_offsets, const uint64_t *);
_Static_assert(offsetof(omendb_rows, vectors) == 48, "omendb_rows");
SAME_TYPE(omendb_rows, vectors, const omendb_vectors *);
_Static_assert(offsetof(omendb_rows, json) == 56, "omendb_rows");
SAME_TYPE(omendb_rows, json, const char *);
_Static_assert(offsetof(omendb_rows, json_offsets) == 64, "omendb_rows");
SAME_TYPE(omendb_rows, json_offsets, const uint64_t *);
_Static_assert(offsetof(omendb_rows, if_versions) == 72, "omendb_rows");
SAME_TYPE(omendb_rows, if_versions, const uint64_t *);
_Static_assert(offsetof(omendb_rows, flags) == 80, "omendb_rows");
SAME_TYPE(omendb_rows, flags, uint32_t);
_Static_assert(offsetof(omendb_rows, reserved) == 84, "omendb_rows");
SAME_TYPE(omendb_rows, reserved, uint32_t);
_Static_assert(offsetof(omendb_document, id) == 0, "omendb_document");
SAME_TYPE(omendb_document, id, omendb_id);
_Static_assert(offsetof(omendb_document, json_view) == 24, "omendb_document");
SAME_TYPE(omendb_document, json_view, const char *);
_Static_assert(offsetof(omendb_document, json_size) == 32, "omendb_document");
SAME_TYPE(omendb_document, json_size, size_t);
_Static_assert(offsetof(omendb_document, found) == 40, "omendb_document");
SAME_TYPE(omendb_document, found, int32_t);
_Static_assert(offsetof(omendb_find_params, struct_size) == 0, "omendb_find_params");
SAME_TYPE(omendb_find_params, struct_size, uint32_t);
_Static_assert(offsetof(omendb_find_params, flags) == 4, "omendb_find_params");
SAME_TYPE(omendb_find_params, flags, uint32_t);
_Static_assert(offsetof(omendb_find_params, filter) == 8, "omendb_find_params");
SAME_TYPE(omendb_find_params, filter, const char *);
_Static_assert(offsetof(omendb_find_params, filter_size) == 16, "omendb_find_params");
SAME_TYPE(omendb_find_params, filter_size, size_t);
_Static_assert(offsetof(omendb_find_params, after) == 24, "omendb_find_params");
SAME_TYPE(omendb_find_params, after, const omendb_id *);
_Static_assert(offsetof(omendb_find_params, limit) == 32, "omendb_find_params");
SAME_TYPE(omendb_find_params, limit, size_t);
_Static_assert(offsetof(omendb_find_params, timeout_ms) == 40, "omendb_find_params");
SAME_TYPE(omendb_find_params, timeout_ms, uint32_t);
_Static_assert(offsetof(omendb_find_params, reserved) == 44, "omendb_find_params");
SAME_TYPE(omendb_find_params, reserved, uint32_t);
_Static_assert(offsetof(omendb_search_params, struct_size) == 0, "omendb_search_params");
SAME_TYPE(omendb_search_params, struct_size, uint32_t);
_Static_assert(offsetof(omendb_search_params, flags) == 4, "omendb_search_params");
SAME_TYPE(omendb_search_params, flags, uint32_t);
_Static_assert(offsetof(omendb_search_params, field) == 8, "omendb_search_params");
SAME_TYPE(omendb_search_params, field, const char *);
_Static_assert(offsetof(omendb_search_params, type) == 16, "omendb_search_params");
SAME_TYPE(omendb_search_params, type, omendb_type);
_Static_assert(offsetof(omendb_search_params, dim) == 20, "omendb_search_params");
SAME_TYPE(omendb_search_params, dim, uint32_t);
_Static_assert(offsetof(omendb_search_params, queries) == 24, "omendb_search_params");
SAME_TYPE(omendb_search_params, queries, const void *);
_Static_assert(offsetof(omendb_search_params, query_count) == 32, "omendb_search_params");
SAME_TYPE(omendb_search_params, query_count, size_t);
_Static_assert(offsetof(omendb_search_params, row_stride) == 40, "omendb_search_params");
SAME_TYPE(omendb_search_params, row_stride, size_t);
_Static_assert(offsetof(omendb_search_params, k) == 48, "omendb_search_params");
SAME_TYPE(omendb_search_params, k, uint32_t);
_Static_assert(offsetof(omendb_search_params, offset) == 52, "omendb_search_params");
SAME_TYPE(omendb_search_params, offset, uint32_t);
_Static_assert(offsetof(omendb_search_params, filter) == 56, "omendb_search_params");
SAME_TYPE(omendb_search_params, filter, const char *);
_Static_assert(offsetof(omendb_search_params, filter_size) == 64, "omendb_search_params");
SAME_TYPE(omendb_search_params, filter_size, size_t);
_Static_assert(offsetof(omendb_search_params, recall) == 72, "omendb_search_params");
SAME_TYPE(omendb_search_params, recall, float);
_Static_assert(offsetof(omendb_search_params, ef) == 76, "omendb_search_params");
SAME_TYPE(omendb_search_params, ef, uint32_t);
_Static_assert(offsetof(omendb_search_params, threads) == 80, "omendb_search_params");
SAME_TYPE(omendb_search_params, threads, uint32_t);
_Static_assert(offsetof(omendb_search_params, timeout_ms) == 84, "omendb_search_params");
SAME_TYPE(omendb_search_params, timeout_ms, uint32_t);
_Static_assert(offsetof(omendb_hit, document) == 0, "omendb_hit");
SAME_TYPE(omendb_hit, document, omendb_document);
_Static_assert(offsetof(omendb_hit, distance) == 48, "omendb_hit");
SAME_TYPE(omendb_hit, distance, float);
_Static_assert(offsetof(omendb_hit, score) == 52, "omendb_hit");
SAME_TYPE(omendb_hit, score, float);
_Static_assert(sizeof(omendb_error) == 256, "omendb_error");
_Static_assert(sizeof(omendb_id) == 24, "omendb_id");
_Static_assert(sizeof(omendb_document) == 48, "omendb_document");
_Static_assert(sizeof(omendb_hit) == 56, "omendb_hit");
_Static_assert(OMENDB_OK == 0, "OMENDB_OK");
_Static_assert(OMENDB_ERR_NOMEM == -1, "OMENDB_ERR_NOMEM");
_Static_assert(OMENDB_ERR_IO == -2, "OMENDB_ERR_IO");
_Static_assert(OMENDB_ERR_CORRUPT == -3, "OMENDB_ERR_CORRUPT");
_Static_assert(OMENDB_ERR_ARGUMENT == -4, "OMENDB_ERR_ARGUMENT");
_Static_assert(OMENDB_ERR_BUSY == -5, "OMENDB_ERR_BUSY");
_Static_assert(OMENDB_ERR_FULL == -6, "OMENDB_ERR_FULL");
_Static_assert(OMENDB_ERR_INTERNAL == -7, "OMENDB_ERR_INTERNAL");
_Static_assert(OMENDB_ERR_NOT_FOUND == -8, "OMENDB_ERR_NOT_FOUND");
_Static_assert(OMENDB_ERR_EXISTS == -9, "OMENDB_ERR_EXISTS");
_Static_assert(OMENDB_ERR_DIMENSION == -10, "OMENDB_ERR_DIMENSION");
_Static_assert(OMENDB_ERR_VALUE == -11, "OMENDB_ERR_VALUE");
_Static_assert(OMENDB_ERR_READ_ONLY == -12, "OMENDB_ERR_READ_ONLY");
_Static_assert(OMENDB_ERR_MISUSE == -13, "OMENDB_ERR_MISUSE");
_Static_assert(OMENDB_ERR_UNSUPPORTED == -14, "OMENDB_ERR_UNSUPPORTED");
_Static_assert(OMENDB_ERR_INTERRUPTED == -15, "OMENDB_ERR_INTERRUPTED");
_Static_assert(OMENDB_ERR_TIMEOUT == -16, "OMENDB_ERR_TIMEOUT");
_Static_assert(OMENDB_ERR_CONFLICT == -17, "OMENDB_ERR_CONFLICT");
_Static_assert(OMENDB_F32 == 0, "OMENDB_F32");
_Static_assert(OMENDB_F16 == 1, "OMENDB_F16");
_Static_assert(OMENDB_BF16 == 2, "OMENDB_BF16");
_Static_assert(OMENDB_I8 == 3, "OMENDB_I8");
_Static_assert(OMENDB_U8 == 4, "OMENDB_U8");
_Static_assert(OMENDB_BIT == 5, "OMENDB_BIT");
_Static_assert(OMENDB_F64 == 6, "OMENDB_F64");
_Static_assert(OMENDB_L2 == 0, "OMENDB_L2");
_Static_assert(OMENDB_COSINE == 1, "OMENDB_COSINE");
_Static_assert(OMENDB_IP == 2, "OMENDB_IP");
_Static_assert(OMENDB_HAMMING == 3, "OMENDB_HAMMING");
_Static_assert(OMENDB_DURABILITY_DEFAULT == 0, "OMENDB_DURABILITY_DEFAULT");
_Static_assert(OMENDB_DURABILITY_FULL == 1, "OMENDB_DURABILITY_FULL");
_Static_assert(OMENDB_DURABILITY_INTERVAL == 2, "OMENDB_DURABILITY_INTERVAL");
_Static_assert(OMENDB_DURABILITY_NONE == 3, "OMENDB_DURABILITY_NONE");
_Static_assert(OMENDB_OPEN_MUST_EXIST == 1, "OMENDB_OPEN_MUST_EXIST");
_Static_assert(OMENDB_OPEN_MUST_NOT_EXIST == 2, "OMENDB_OPEN_MUST_NOT_EXIST");
_Static_assert(OMENDB_OPEN_READ_ONLY == 4, "OMENDB_OPEN_READ_ONLY");
_Static_assert(OMENDB_CHECK_DEEP == 1, "OMENDB_CHECK_DEEP");
_Static_assert(OMENDB_BACKUP_REPLACE == 1, "OMENDB_BACKUP_REPLACE");
_Static_assert(OMENDB_INDEX_DEFAULT == 0, "OMENDB_INDEX_DEFAULT");
_Static_assert(OMENDB_INDEX_FAST == 1, "OMENDB_INDEX_FAST");
_Static_assert(OMENDB_INDEX_COMPACT == 2, "OMENDB_INDEX_COMPACT");
_Static_assert(OMENDB_INDEX_EXACT == 3, "OMENDB_INDEX_EXACT");
_Static_assert(OMENDB_FIELD_ANY == 0, "OMENDB_FIELD_ANY");
_Static_assert(OMENDB_FIELD_BOOL == 1, "OMENDB_FIELD_BOOL");
_Static_assert(OMENDB_FIELD_INT == 2, "OMENDB_FIELD_INT");
_Static_assert(OMENDB_FIELD_FLOAT == 3, "OMENDB_FIELD_FLOAT");
_Static_assert(OMENDB_FIELD_STRING == 4, "OMENDB_FIELD_STRING");
_Static_assert(OMENDB_FIELD_TEXT == 5, "OMENDB_FIELD_TEXT");
_Static_assert(OMENDB_FIELD_BYTES == 6, "OMENDB_FIELD_BYTES");
_Static_assert(OMENDB_FIELD_ARRAY == 7, "OMENDB_FIELD_ARRAY");
_Static_assert(OMENDB_FIELD_OBJECT == 8, "OMENDB_FIELD_OBJECT");
_Static_assert(OMENDB_ROWS_IF_ABSENT == 1, "OMENDB_ROWS_IF_ABSENT");
_Static_assert(OMENDB_WITH_DOCUMENTS == 1, "OMENDB_WITH_DOCUMENTS");
_Static_assert(OMENDB_WITH_VECTORS == 2, "OMENDB_WITH_VECTORS");
_Static_assert(OMENDB_EXACT == 4, "OMENDB_EXACT");
_Static_assert(OMENDB_VERSION_ANY == UINT64_MAX - 0, "OMENDB_VERSION_ANY");
_Static_assert(OMENDB_VERSION_OWN == UINT64_MAX - 1, "OMENDB_VERSION_OWN");
const char * omendb_status_name(omendb_status status);
omendb_status omendb_open(const char *path, const omendb_options *options, omendb **out, omendb_error *err);
omendb_status omendb_close(omendb *db, omendb_error *err);
omendb_status omendb_sync(omendb *db, omendb_error *err);
void omendb_interrupt(omendb *db);
omendb_status omendb_stats(omendb *db, char **out, omendb_error *err);
omendb_status omendb_check(omendb *db, uint32_t flags, char **out, omendb_error *err);
void omendb_text_destroy(char *text);
omendb_status omendb_backup(omendb *db, const char *path, const omendb_backup_options *options, omendb_error *err);
omendb_status omendb_restore(const char *const *paths, size_t count, const char *path, const omendb_backup_options *options, omendb_error *err);
omendb_status omendb_repair(const char *path, const char *out_path, const omendb_repair_options *options, char **report, omendb_error *err);
omendb_status omendb_collection_create(omendb *db, const char *name, const omendb_schema *schema, omendb_collection **out, omendb_error *err);
omendb_status omendb_collection_open(omendb *db, const char *name, omendb_collection **out, omendb_error *err);
void omendb_collection_close(omendb_collection *collection);
omendb_status omendb_collection_drop(omendb *db, const char *name, omendb_error *err);
omendb_status omendb_collection_rename(omendb *db, const char *name, const char *new_name, omendb_error *err);
omendb_status omendb_collection_list(omendb *db, char **out, omendb_error *err);
omendb_status omendb_collection_describe(omendb_collection *collection, char **out, omendb_error *err);
omendb_status omendb_collection_set_index(omendb_collection *collection, const char *field, omendb_index index, omendb_error *err);
omendb_status omendb_collection_wait_indexed(omendb_collection *collection, uint32_t timeout_ms, omendb_index_progress progress, void *context, omendb_error *err);
omendb_status omendb_collection_upsert(omendb_collection *collection, const omendb_rows *rows, omendb_error *err);
omendb_status omendb_collection_delete(omendb_collection *collection, const omendb_id *ids, size_t count, uint64_t *deleted, omendb_error *err);
omendb_status omendb_collection_delete_if_version(omendb_collection *collection, const omendb_id *ids, const uint64_t *versions, size_t count, omendb_error *err);
omendb_status omendb_collection_delete_where(omendb_collection *collection, const char *filter, size_t filter_size, uint64_t *deleted, omendb_error *err);
omendb_status omendb_batch_create(omendb *db, omendb_batch **out, omendb_error *err);
omendb_status omendb_batch_upsert(omendb_batch *batch, omendb_collection *collection, const omendb_rows *rows, omendb_error *err);
omendb_status omendb_batch_delete(omendb_batch *batch, omendb_collection *collection, const omendb_id *ids, size_t count, omendb_error *err);
omendb_status omendb_batch_commit(omendb_batch *batch, omendb_durability durability, uint64_t *sequence, omendb_error *err);
void omendb_batch_destroy(omendb_batch *batch);
omendb_status omendb_snapshot_create(omendb *db, omendb_snapshot **out, omendb_error *err);
uint64_t omendb_snapshot_sequence(const omendb_snapshot *snapshot);
omendb_status omendb_snapshot_collection(omendb_snapshot *snapshot, omendb_collection *collection, omendb_collection **out, omendb_error *err);
void omendb_snapshot_destroy(omendb_snapshot *snapshot);
omendb_status omendb_transaction_begin(omendb *db, omendb_transaction **out, omendb_error *err);
uint64_t omendb_transaction_sequence(const omendb_transaction *transaction);
omendb_status omendb_transaction_collection(omendb_transaction *transaction, omendb_collection *collection, omendb_collection **out, omendb_error *err);
omendb_status omendb_transaction_commit(omendb_transaction *transaction, omendb_durability durability, uint64_t *sequence, omendb_error *err);
void omendb_transaction_rollback(omendb_transaction *transaction);
void omendb_transaction_destroy(omendb_transaction *transaction);
omendb_status omendb_collection_get(omendb_collection *collection, const omendb_id *ids, size_t count, uint32_t flags, omendb_documents **out, omendb_error *err);
omendb_status omendb_collection_find(omendb_collection *collection, const omendb_find_params *params, omendb_documents **out, omendb_error *err);
omendb_status omendb_collection_count(omendb_collection *collection, const char *filter, size_t filter_size, uint64_t *out, omendb_error *err);
size_t omendb_documents_count(const omendb_documents *documents);
void omendb_documents_entry(const omendb_documents *documents, size_t index, omendb_document *out);
const void * omendb_documents_vector(const omendb_documents *documents, size_t index, const char *field, omendb_type *type, uint32_t *dim);
uint64_t omendb_documents_version(const omendb_documents *documents, size_t index);
void omendb_documents_destroy(omendb_documents *documents);
omendb_status omendb_collection_search(omendb_collection *collection, const omendb_search_params *params, omendb_hits **out, omendb_error *err);
size_t omendb_hits_query_count(const omendb_hits *hits);
size_t omendb_hits_count(const omendb_hits *hits, size_t query);
void omendb_hits_entry(const omendb_hits *hits, size_t query, size_t index, omendb_hit *out);
const float * omendb_hits_distances(const omendb_hits *hits);
const float * omendb_hits_scores(const omendb_hits *hits);
uint32_t omendb_hits_k(const omendb_hits *hits);
const omendb_documents * omendb_hits_documents(const omendb_hits *hits, size_t query);
const char * omendb_hits_explain(const omendb_hits *hits);
void omendb_hits_destroy(omendb_hits *hits);
omendb_status omendb_search_vectors(omendb_collection *collection, const omendb_search_params *params, uint64_t *ids, float *scores, uint32_t *found, omendb_error *err);
int omendb_init(int dimension);
int omendb_add(const char *id_ptr, int id_len, const float *vector_ptr, int dimension);
int omendb_search(const float *query_ptr, int k, int *result_ids, float *result_distances);
int omendb_clear(void);
int omendb_count(void);
const char * omendb_version(void);

static void (*const functions[])(void) = {
    (void (*)(void))omendb_status_name,
    (void (*)(void))omendb_open,
    (void (*)(void))omendb_close,
    (void (*)(void))omendb_sync,
    (void (*)(void))omendb_interrupt,
    (void (*)(void))omendb_stats,
    (void (*)(void))omendb_check,
    (void (*)(void))omendb_text_destroy,
    (void (*)(void))omendb_backup,
    (void (*)(void))omendb_restore,
    (void (*)(void))omendb_repair,
    (void (*)(void))omendb_collection_create,
    (void (*)(void))omendb_collection_open,
    (void (*)(void))omendb_collection_close,
    (void (*)(void))omendb_collection_drop,
    (void (*)(void))omendb_collection_rename,
    (void (*)(void))omendb_collection_list,
    (void (*)(void))omendb_collection_describe,
    (void (*)(void))omendb_collection_set_index,
    (void (*)(void))omendb_collection_wait_indexed,
    (void (*)(void))omendb_collection_upsert,
    (void (*)(void))omendb_collection_delete,
    (void (*)(void))omendb_collection_delete_if_version,
    (void (*)(void))omendb_collection_delete_where,
    (void (*)(void))omendb_batch_create,
    (void (*)(void))omendb_batch_upsert,
    (void (*)(void))omendb_batch_delete,
    (void (*)(void))omendb_batch_commit,
    (void (*)(void))omendb_batch_destroy,
    (void (*)(void))omendb_snapshot_create,
    (void (*)(void))omendb_snapshot_sequence,
    (void (*)(void))omendb_snapshot_collection,
    (void (*)(void))omendb_snapshot_destroy,
    (void (*)(void))omendb_transaction_begin,
    (void (*)(void))omendb_transaction_sequence,
    (void (*)(void))omendb_transaction_collection,
    (void (*)(void))omendb_transaction_commit,
    (void (*)(void))omendb_transaction_rollback,
    (void (*)(void))omendb_transaction_destroy,
    (void (*)(void))omendb_collection_get,
    (void (*)(void))omendb_collection_find,
    (void (*)(void))omendb_collection_count,
    (void (*)(void))omendb_documents_count,
    (void (*)(void))omendb_documents_entry,
    (void (*)(void))omendb_documents_vector,
    (void (*)(void))omendb_documents_version,
    (void (*)(void))omendb_documents_destroy,
    (void (*)(void))omendb_collection_search,
    (void (*)(void))omendb_hits_query_count,
    (void (*)(void))omendb_hits_count,
    (void (*)(void))omendb_hits_entry,
    (void (*)(void))omendb_hits_distances,
    (void (*)(void))omendb_hits_scores,
    (void (*)(void))omendb_hits_k,
    (void (*)(void))omendb_hits_documents,
    (void (*)(void))omendb_hits_explain,
    (void (*)(void))omendb_hits_destroy,
    (void (*)(void))omendb_search_vectors,
    (void (*)(void))omendb_init,
    (void (*)(void))omendb_add,
    (void (*)(void))omendb_search,
    (void (*)(void))omendb_clear,
    (void (*)(void))omendb_count,
    (void (*)(void))omendb_version,
};

int main(void)
{
    for (size_t i = 0; i < sizeof functions / sizeof *functions; i++)
        if (functions[i] == NULL) return 1;
    puts("ok programs_of_this_abi_still_run");
    return 0;
}
